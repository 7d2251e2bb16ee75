"""Batches of scenes with questions as token ids, drawn by worker processes.

Holds scripts, not media: the trainer renders them on its device. Knows nothing about models.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from compressor.omni.chat import ChatLayout
from compressor.training.binding import IGNORED, bound_labels
from compressor.training.crowd import draw_crowd
from compressor.training.questions import Kind, Question, questions
from compressor.training.scenes import SOUNDS, Scene, Split
from compressor.training.sounds import SoundScript, pack_sounds
from compressor.training.speech import word_s
from compressor.training.timeline import draw_scene
from compressor.training.visuals import FrameScript, pack_frames

FRAMES_PER_S = 2
TAIL_TOKENS = 20  # markers, question, turn, answer; shorter ones are padded
AUDIO_TOKENS_PER_S = 25
# kinds that are learned last are asked more often
LEARNING_WEIGHTS: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.ORDER: 2.0,
        Kind.COUNT: 4.0,
        Kind.MADE_BY: 2.0,
        Kind.MAKES: 2.0,
        Kind.SEEN_DURING: 2.0,
        Kind.WHICH_FIRST: 2.0,
        Kind.WORD: 2.0,
        Kind.WORD_ORDER: 3.0,
    }
)

_HEARD = re.compile(r"Did you hear the word (\w+)\?")


@dataclass(frozen=True, slots=True)
class Batch:
    """B scenes of T seconds with Q questions each.

    Attributes:
        duration_s: T, even.
        frames: What to draw: 2 T frames per scene.
        sounds: What to mix.
        tails: `[B, Q, 20]` int64, closing markers, question and answer.
        targets: `[B, Q, 20]` int64, the next token where it is the answer's, else `IGNORED`.
        kinds: `[B, Q]` int64, values of `Kind`.
        heard: `[B, 25 T]` int64, per audio token 1 + the sound's kind, or 1 + all sounds + the
            word, 0 for none, `IGNORED` where an event only grazes the token.
        bound: `[H, B, 89 T]` int16, targets of the binding heads; see `binding`.
        shifts: `[B]` int64, added to all ids from the stream on, as after a long session.
    """

    duration_s: int
    frames: FrameScript
    sounds: SoundScript
    tails: NDArray[np.int64]
    targets: NDArray[np.int64]
    kinds: NDArray[np.int64]
    heard: NDArray[np.int64]
    bound: NDArray[np.int16]
    shifts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """How batches are drawn.

    Attributes:
        durations_s: Even clip lengths to choose from.
        weights: Relative frequency of each.
        seconds: Seconds of clip per batch; B follows from it.
        seed: Of the whole sequence of batches.
        split: Whose scenes.
        shift_share: Share of clips whose ids start late.
        max_shift: Highest such start.
        nameless_share: See `draw_scene`.
        is_crowded: Whether scenes are crowds, see `draw_crowd`.
        speech_share: See `draw_scene`.
        has_all_pairs: See `draw_scene`; for what is encoded by `composition`.
        kind_weights: Relative frequency of questions by what they need, 1 where none is given.
    """

    durations_s: tuple[int, ...]
    weights: tuple[float, ...]
    seconds: int
    seed: int = 0
    split: Split = Split.TRAIN
    shift_share: float = 0.25
    max_shift: int = 2000
    nameless_share: float = 0.0
    is_crowded: bool = False
    speech_share: float = 0.0
    has_all_pairs: bool = False
    kind_weights: Mapping[Kind, float] = field(default_factory=lambda: LEARNING_WEIGHTS, hash=False)


class BatchStream(IterableDataset[Batch]):
    """An endless, reproducible sequence of batches, dealt out to workers in turn."""

    def __init__(self, config: BatchConfig, layout: ChatLayout, first: int = 0) -> None:
        self.config = config
        self.layout = layout
        self.first = first

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        offset, step = (0, 1) if info is None else (info.id, info.num_workers)
        number = self.first + offset
        while True:
            yield self.batch(number)
            number += step

    def batch(self, number: int) -> Batch:
        """Draw batch `number`; equal for equal configurations."""
        rng = np.random.default_rng([self.config.seed, number])
        return make_batch(self._scenes(rng), self.layout, rng, self.config)

    def ask_again(self, batch: Batch, number: int, turn: int) -> Batch:
        """Ask other questions about the scenes of batch `number`, in each `turn` others."""
        scenes = self._scenes(np.random.default_rng([self.config.seed, number]))
        rng = np.random.default_rng([self.config.seed, number, turn])
        tails, targets, kinds = _ask(scenes, self.layout, rng, self.config)
        return replace(batch, tails=tails, targets=targets, kinds=kinds)

    def _scenes(self, rng: Generator) -> list[Scene]:
        config, weights = self.config, np.asarray(self.config.weights)
        duration_s = int(rng.choice(config.durations_s, p=weights / weights.sum()))
        num_scenes = max(1, config.seconds // duration_s)
        seeds = rng.integers(2**40, size=num_scenes)
        return [_draw(config, int(seed), float(duration_s)) for seed in seeds]


def _draw(config: BatchConfig, seed: int, duration_s: float) -> Scene:
    nameless = config.nameless_share
    if config.is_crowded:
        return draw_crowd(config.split, seed, duration_s, nameless_share=nameless)
    return draw_scene(
        config.split,
        seed,
        duration_s,
        nameless_share=nameless,
        speech_share=config.speech_share,
        has_all_pairs=config.has_all_pairs,
    )


def loader(stream: BatchStream, num_workers: int) -> DataLoader[Batch]:
    """Load batches in worker processes; 0 workers draw them in this one."""
    ahead = 4 if num_workers else None
    return DataLoader(stream, batch_size=None, num_workers=num_workers, prefetch_factor=ahead)


def make_batch(
    scenes: Sequence[Scene], layout: ChatLayout, rng: Generator, config: BatchConfig
) -> Batch:
    """Pack scenes of one duration and questions about them."""
    duration_s = round(scenes[0].duration_s)
    tails, targets, kinds = _ask(scenes, layout, rng, config)
    late = rng.random(len(scenes)) < config.shift_share
    times_s = [frame_times(duration_s, rng) for _ in scenes]
    return Batch(
        duration_s=duration_s,
        frames=pack_frames(scenes, times_s),
        sounds=pack_sounds(scenes),
        tails=tails,
        targets=targets,
        kinds=kinds,
        heard=np.stack([heard_labels(scene) for scene in scenes]),
        bound=np.stack(
            [bound_labels(scene, times) for scene, times in zip(scenes, times_s, strict=True)],
            axis=1,
            dtype=np.int16,
        ),
        shifts=late * rng.integers(0, config.max_shift, len(scenes)),
    )


def _ask(
    scenes: Sequence[Scene], layout: ChatLayout, rng: Generator, config: BatchConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw questions: tails, targets and kinds as a batch holds them."""
    number = num_questions(round(scenes[0].duration_s))
    asked = [
        choose_questions(questions(scene), number, rng, config.kind_weights) for scene in scenes
    ]
    texts = [[(paraphrase(one.text, rng), one.answer) for one in row] for row in asked]
    encoded = [[encode_turn(layout, *turn) for turn in row] for row in texts]
    return (
        np.array([[tail for tail, _ in row] for row in encoded]),
        np.array([[target for _, target in row] for row in encoded]),
        np.array([[int(one.kind) for one in row] for row in asked]),
    )


def num_questions(duration_s: int) -> int:
    """Questions per clip: longer clips have more to ask about."""
    return min(64, 8 + 2 * duration_s)


def frame_times(duration_s: int, rng: Generator) -> NDArray[np.float64]:
    """When the frames of a clip are taken: 2 a second, jittered as a camera's are."""
    times = np.arange(FRAMES_PER_S * duration_s) / FRAMES_PER_S
    return (times + rng.uniform(0.0, 0.04)).clip(0.0, duration_s)


def choose_questions(
    found: list[Question],
    number: int,
    rng: Generator,
    weights: Mapping[Kind, float],
) -> list[Question]:
    """Draw questions: kinds by weight (1 where none is given), all answers of a kind alike."""
    by_kind: dict[Kind, dict[str, list[Question]]] = defaultdict(lambda: defaultdict(list))
    for question in found:
        by_kind[question.kind][question.answer].append(question)
    kinds = sorted(by_kind)
    share = np.array([weights.get(kind, 1.0) for kind in kinds])
    chosen = []
    for pick in rng.choice(len(kinds), size=number, p=share / share.sum()):
        by_answer = by_kind[kinds[pick]]
        answers = list(by_answer)
        pool = by_answer[answers[rng.integers(len(answers))]]
        chosen.append(pool[rng.integers(len(pool))])
    return chosen


def paraphrase(text: str, rng: Generator) -> str:
    """Vary the wording as users do: another phrase, colour, lower case, no question mark."""
    said = _HEARD.sub(r"Was the word \1 said?", text)
    if said != text and rng.random() < 0.3:
        text = said
    if rng.random() < 0.5:
        text = text.replace("color", "colour")
    if rng.random() < 0.2:
        text = text.lower()
    return text.rstrip("?") if rng.random() < 0.1 else text


def encode_turn(layout: ChatLayout, text: str, answer: str) -> tuple[list[int], list[int]]:
    """Encode a question with its answer: input ids and targets, `TAIL_TOKENS` each.

    Raises:
        ValueError: If the answer is more than one token, or all do not fit.
    """
    tail, reply = layout.tail([("user", text)]), layout.encode(answer)
    if len(reply) != 1 or len(tail) + 1 > TAIL_TOKENS:
        raise ValueError(f"{text!r} with {answer!r} does not fit {TAIL_TOKENS} tokens")
    padding = TAIL_TOKENS - len(tail) - 1
    ids = [*tail, *reply, *[layout.special.im_end] * padding]
    targets = [IGNORED] * (len(tail) - 1) + [*reply, layout.special.im_end] + [IGNORED] * padding
    return ids, targets


def heard_labels(scene: Scene) -> NDArray[np.int64]:
    """Which sound or word each audio token holds; see `Batch.heard`."""
    labels = np.zeros(round(scene.duration_s) * AUDIO_TOKENS_PER_S, np.int64)
    edges = np.arange(len(labels)) / AUDIO_TOKENS_PER_S
    sounds = [(sound.start_s, sound.duration_s, 1 + sound.kind) for sound in scene.sounds]
    words = [(word.start_s, word_s(word), 1 + len(SOUNDS) + word.index) for word in scene.words]
    for start_s, duration_s, label in (*sounds, *words):
        overlap_s = np.minimum(edges + 0.04, start_s + duration_s) - np.maximum(edges, start_s)
        labels[overlap_s > 0] = IGNORED
        labels[overlap_s > 0.02] = label
    return labels


def to_tensor(array: NDArray[np.integer], device: torch.device) -> torch.Tensor:
    """Move an array of a batch to the device, as int64."""
    return torch.from_numpy(array).to(device, non_blocking=True).long()


__all__ = [
    "IGNORED",
    "LEARNING_WEIGHTS",
    "TAIL_TOKENS",
    "Batch",
    "BatchConfig",
    "BatchStream",
    "choose_questions",
    "encode_turn",
    "frame_times",
    "loader",
    "make_batch",
    "num_questions",
    "to_tensor",
]
