"""Accuracy of a model that sees only what a method keeps.

Every chunk goes through the method's own `compress_batch`, in order and with its state, as in a
live stream. Knows nothing about files or tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.evaluation.exam import Paper
from compressor.pipeline import Compressor
from compressor.tokens import CompressedChunk, TokenCounts
from compressor.training.questions import Kind
from compressor.training.step import right_answers
from compressor.training.student import AUDIO_TOKENS, GRID, Kept, Student, place
from compressor.video import StreamState

_VIDEO_TOKENS = 2 * GRID
CHUNK_TOKENS = _VIDEO_TOKENS + AUDIO_TOKENS


@dataclass(frozen=True, slots=True)
class Mark:
    """One answer.

    Attributes:
        clip: Which clip it is about; answers about one clip are not independent.
        kind: What the question needs.
        is_right: Whether its first token is the right one.
        age_s: How long before the question its evidence was.
        is_on_screen: See `Question`.
        is_unseen: See `Question`.
    """

    clip: tuple[int, int]
    kind: Kind
    is_right: bool
    age_s: float
    is_on_screen: bool | None
    is_unseen: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a method did on a paper: marks, and tokens in and kept."""

    marks: tuple[Mark, ...]
    counts_in: TokenCounts
    counts_kept: TokenCounts


@torch.no_grad()
def examine(
    paper: Paper, compressor: Compressor, student: Student, header: Tensor, place_in_exam: int
) -> Result:
    """Let a student answer a paper from what a compressor keeps."""
    kept = compress(paper, compressor)
    num_clips, _, length = paper.tails.shape
    shifts = torch.zeros(num_clips, dtype=torch.int64)
    places = place(paper.num_chunks, len(header), length, shifts)
    logits, _ = student.answer(kept, header, paper.tails, places)
    right = right_answers(logits, paper.targets).tolist()
    duration_s = 2.0 * paper.num_chunks
    marks = [
        Mark(
            clip=(place_in_exam, clip),
            kind=question.kind,
            is_right=is_right,
            age_s=max(0.0, duration_s - question.at_s),
            is_on_screen=question.is_on_screen,
            is_unseen=question.is_unseen,
        )
        for clip, row in enumerate(paper.asked)
        for question, is_right in zip(row, right[clip], strict=True)
    ]
    num_chunks = num_clips * paper.num_chunks
    counts_in = TokenCounts(num_chunks * _VIDEO_TOKENS, num_chunks * AUDIO_TOKENS)
    return Result(tuple(marks), counts_in, _count(kept))


def compress(paper: Paper, compressor: Compressor) -> Kept:
    """Compress all clips of a paper, chunk by chunk."""
    num_clips = len(paper.tails)
    states: list[StreamState | None] = [None] * num_clips
    streams: list[list[CompressedChunk]] = [[] for _ in range(num_clips)]
    for number in range(paper.num_chunks):
        chunks = [paper.chunk(clip, number) for clip in range(num_clips)]
        done = compressor.compress_batch(chunks, states)
        for clip, (compressed, state) in enumerate(done):
            streams[clip].append(compressed)
            states[clip] = state
    return _pad([_join(stream) for stream in streams])


def _count(kept: Kept) -> TokenCounts:
    is_audio = kept.index % CHUNK_TOKENS >= _VIDEO_TOKENS
    return TokenCounts(int((kept.seen & ~is_audio).sum()), int((kept.seen & is_audio).sum()))


def _join(stream: Sequence[CompressedChunk]) -> tuple[Tensor, Tensor]:
    index = [chunk.kept + CHUNK_TOKENS * number for number, chunk in enumerate(stream)]
    return torch.cat([chunk.embeddings for chunk in stream]), torch.cat(index)


def _pad(streams: list[tuple[Tensor, Tensor]]) -> Kept:
    lengths = torch.tensor([len(index) for _, index in streams])
    embeddings, index = (
        torch.nn.utils.rnn.pad_sequence([stream[i] for stream in streams], batch_first=True)
        for i in range(2)
    )
    return Kept(embeddings, index, torch.arange(index.shape[1]) < lengths[:, None])


__all__ = ["Mark", "Result", "compress", "examine"]
