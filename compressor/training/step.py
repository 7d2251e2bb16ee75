"""One optimisation step, and one measurement, on a batch of scenes.

Knows nothing about schedules, files or the clock.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from compressor.training.batches import TAIL_TOKENS, Batch, to_tensor
from compressor.training.binding import IGNORED
from compressor.training.codec import degrade
from compressor.training.mel import LogMel
from compressor.training.perception import binding_loss, event_loss, perception_loss
from compressor.training.selection import Budget, Rule, select
from compressor.training.sounds import mix
from compressor.training.student import Student, Tokens, keep_all, place
from compressor.training.towers import patchify
from compressor.training.visuals import FrameScript, Renderer

_MAX_STRENGTH = 10.0  # quantiser step of the worst pictures
_CODED_SHARE = 0.6


class Studio:
    """Renders batches on one device: script in, patches and mel out.

    Deterministic given the seed and the order of calls since `load`, for one device type.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self.generator = torch.Generator(device)
        self._seed = seed
        self._choices = torch.Generator()
        self._renderer = Renderer(device)
        self._mel = LogMel().to(device)
        self.load(0)

    def load(self, number: int) -> None:
        """Start over with film of its own: equal numbers render equal batches equally."""
        seed = self._seed * 1_000_003 + number
        self.generator.manual_seed(seed)
        self._choices.manual_seed(seed)

    @torch.no_grad()
    def shoot(self, batch: Batch, *, is_coded: bool = True) -> tuple[Tensor, Tensor]:
        """Render a batch: patches `[B * T, 256, 1176]` and mel `[B, 128, 100 T]`.

        Args:
            batch: What to render.
            is_coded: Whether most batches pass a stand-in for a lossy codec.
        """
        patches = self.picture(batch.frames, len(batch.tails), is_coded=is_coded)
        wave = mix(batch.sounds, self.generator, self.device)
        return patches, self._mel(wave)

    @torch.no_grad()
    def picture(
        self,
        script: FrameScript,
        num_clips: int,
        *,
        is_coded: bool = True,
        grids: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Render the pictures of a batch alone: patches `[B * T, 256, 1176]`.

        Args:
            script: What to render, of as many clips as the next says.
            num_clips: B.
            is_coded: See `shoot`.
            grids: Which of the `B * T` grids, ascending; None: all.
        """
        only = None if grids is None else (grids[:, None] * 2 + np.arange(2)).flatten()
        frames = self._renderer.render(script, self.generator, only)
        if is_coded and self._draw() < _CODED_SHARE:
            strength = self._strength(num_clips, len(script.canvas))
            frames = degrade(frames, strength if only is None else strength[only])
        return patchify(frames)

    def _draw(self) -> float:
        return float(torch.rand((), generator=self._choices))

    def _strength(self, num_clips: int, num_frames: int) -> Tensor:
        drawn = torch.rand(num_clips, device=self.device, generator=self.generator)
        return (drawn * _MAX_STRENGTH).repeat_interleave(num_frames // num_clips)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step found.

    Attributes:
        loss: Scalar, with gradient.
        is_right: `[B, Q]` bool, whether the first answer token is right; empty without questions.
        perceived: `[3]` hit rates of the single-token heads; empty when not asked.
    """

    loss: Tensor
    is_right: Tensor
    perceived: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the auxiliary losses; 0 leaves one out.

    Attributes:
        perception: Single tokens show what is seen and heard.
        binding: Middle states know what belongs together.
        event: The selector's scores tell events from background.
    """

    perception: float = 0.0
    binding: float = 0.0
    event: float = 0.0


def forward(
    student: Student,
    tokens: Tokens,
    batch: Batch,
    header: Tensor,
    budget: Budget | None,
    weights: Weights,
) -> Outcome:
    """Compute the loss of one step; no budget: perception alone."""
    device = header.device
    loss = torch.zeros((), device=device)
    is_right = perceived = torch.empty(0, device=device)
    if weights.perception:
        seen, perceived = perception_loss(student.heads, tokens, batch)
        loss = loss + weights.perception * seen
    if budget is not None:
        answered, is_right = ask(student, tokens, batch, header, budget, weights)
        loss = loss + answered
    return Outcome(loss, is_right, perceived)


def ask(
    student: Student,
    tokens: Tokens,
    batch: Batch,
    header: Tensor,
    budget: Budget,
    weights: Weights,
) -> tuple[Tensor, Tensor]:
    """Answer the questions of a batch from what the budget leaves.

    Returns:
        The loss, and which answers are right `[B, Q]`.
    """
    device = header.device
    extra = torch.zeros((), device=device)
    kept = keep_all(tokens)
    if budget.rule is not Rule.FULL:
        kept, scores = select(tokens, budget, student.selector)
        if weights.event and budget.rule is Rule.OMNISIFT:
            extra = weights.event * event_loss(scores, to_tensor(batch.heard, device))
    shifts = to_tensor(batch.shifts, device)
    places = place(batch.duration_s // 2, len(header), TAIL_TOKENS, shifts)
    logits, middle = student.answer(kept, header, to_tensor(batch.tails, device), places)
    if weights.binding:
        bound = to_tensor(batch.bound, device)
        extra = extra + weights.binding * binding_loss(student.binding, middle, kept, bound)
    targets = to_tensor(batch.targets, device)
    loss = F.cross_entropy(logits.flatten(0, 2).float(), targets.flatten(), ignore_index=IGNORED)
    return loss + extra, right_answers(logits, targets)


@torch.no_grad()
def right_answers(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether the first token of each answer is the most likely one: `[B, Q]` bool."""
    first = (targets != IGNORED).int().argmax(-1, keepdim=True)
    guess = logits.argmax(-1).gather(2, first)
    return (guess == targets.gather(2, first)).squeeze(2)


__all__ = ["Outcome", "Studio", "Weights", "ask", "forward", "right_answers"]
