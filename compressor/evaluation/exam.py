"""Test papers: scenes, their tokens and questions about them.

Encoded once, since no method changes what the towers see. Each is drawn by itself, so that several
processes may share an exam. Knows nothing about methods.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from compressor.omni.chat import ChatLayout
from compressor.omni.positions import chunk_positions
from compressor.tokens import TokenChunk
from compressor.training.batches import (
    IGNORED,
    BatchConfig,
    choose_questions,
    encode_turn,
    make_batch,
)
from compressor.training.questions import Question, questions
from compressor.training.scenes import Split
from compressor.training.step import Studio
from compressor.training.student import AUDIO_TOKENS, CHUNK_S, Student, Tokens
from compressor.training.timeline import draw_scene
from compressor.training.towers import GRID_TOKENS

# clips per length, as shares of `num_clips`: long ones have the more to ask, but cost more
LENGTHS_S = MappingProxyType({8: 0.3, 16: 0.3, 32: 0.25, 60: 0.15})


_PAPER_S = 64  # seconds of clip encoded and answered at once


@dataclass(frozen=True, slots=True)
class ExamConfig:
    """What is asked.

    Attributes:
        seed: Papers of different seeds share no scene.
        num_clips: Scenes of all lengths together.
        questions_per_clip: Drawn evenly from all kinds.
        lengths_s: Even clip lengths with their shares.
        split: Whose scenes.
        speech_share: Share of scenes in which words are spoken, and asked about.
    """

    seed: int
    num_clips: int
    questions_per_clip: int
    lengths_s: Mapping[int, float] = field(default_factory=lambda: dict(LENGTHS_S))
    split: Split = Split.TEST
    speech_share: float = 0.5


@dataclass(frozen=True, slots=True)
class PaperPlan:
    """A paper yet to be drawn.

    Attributes:
        config: The exam it belongs to.
        number: Its number in the exam, from 0.
        length_s: Of its clips, seconds.
        seeds: Of its scenes.
    """

    config: ExamConfig
    number: int
    length_s: int
    seeds: tuple[int, ...]

    @property
    def seconds(self) -> int:
        """Of clip, all together."""
        return self.length_s * len(self.seeds)


@dataclass(frozen=True, slots=True)
class Paper:
    """Clips of one length with their questions.

    Attributes:
        tokens: All tokens of the B clips.
        asked: Q questions per clip.
        tails: `[B, Q, L]` input ids, up to where the last of the answers begins.
        targets: `[B, Q, L]`; see `Batch`.
    """

    tokens: Tokens
    asked: tuple[tuple[Question, ...], ...]
    tails: Tensor
    targets: Tensor

    @property
    def num_chunks(self) -> int:
        return self.tokens.video.shape[1]

    def chunk(self, clip: int, number: int) -> TokenChunk:
        """One chunk of one clip, as a stream brings it."""
        sizes = [(GRID_TOKENS, GRID_TOKENS)] * CHUNK_S
        start_s = float(CHUNK_S * number)
        return TokenChunk(
            self.tokens.video[clip, number],
            self.tokens.audio[clip, number],
            chunk_positions(start_s, sizes, AUDIO_TOKENS),
            start_s,
        )


def plan_papers(config: ExamConfig) -> list[PaperPlan]:
    """Divide the clips of an exam into papers: a few clips of one length each."""
    plans: list[PaperPlan] = []
    for length_s, share in config.lengths_s.items():
        num_clips = max(1, round(share * config.num_clips))
        per_paper = max(1, _PAPER_S // length_s)
        for first in range(0, num_clips, per_paper):
            numbers = range(first, min(first + per_paper, num_clips))
            start = config.seed * 1_000_000 + length_s * 1_000
            seeds = tuple(start + number for number in numbers)
            plans.append(PaperPlan(config, len(plans), length_s, seeds))
    return plans


@torch.no_grad()
def draw_paper(plan: PaperPlan, student: Student, layout: ChatLayout) -> Paper:
    """Draw, render and encode a paper; equal for equal plans."""
    config = plan.config
    rng = np.random.default_rng([int(config.split), *plan.seeds])
    scenes = [
        draw_scene(config.split, seed, float(plan.length_s), speech_share=config.speech_share)
        for seed in plan.seeds
    ]
    number = config.questions_per_clip
    asked = [choose_questions(questions(scene), number, rng, weights={}) for scene in scenes]
    encoded = [[encode_turn(layout, one.text, one.answer) for one in row] for row in asked]
    tails, targets = (torch.tensor([[turn[i] for turn in row] for row in encoded]) for i in (0, 1))
    length = int((targets != IGNORED).int().argmax(dim=2).max()) + 1
    batch = make_batch(scenes, layout, rng, BatchConfig((plan.length_s,), (1.0,), plan.length_s))
    studio = Studio(torch.device("cpu"), plan.seeds[0])
    return Paper(
        tokens=student.encode(*studio.shoot(batch)),
        asked=tuple(map(tuple, asked)),
        tails=tails[:, :, :length],
        targets=targets[:, :, :length],
    )


def papers(config: ExamConfig, student: Student, layout: ChatLayout) -> Iterator[Paper]:
    """Draw the papers of one seed, one at a time."""
    for plan in plan_papers(config):
        yield draw_paper(plan, student, layout)


__all__ = ["LENGTHS_S", "ExamConfig", "Paper", "PaperPlan", "draw_paper", "papers", "plan_papers"]
