"""Text and compressed chunks as model inputs with their TMRoPE ids. Knows nothing about caches.

    header   | stream                          | question
    0 to h   | base + (ids of stream - origin) | from 1 + the highest id of the stream

A chunk's ids are relative to stream time zero. Those that follow time (all of audio, the time of
video) grow by 25 per second for hours; `origin` is subtracted from them once they near the model's
horizon, so that the stream looks as if it had begun that much later. Rows and columns of video do
not grow and stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from compressor.omni.positions import header_positions, stream_base, tail_positions
from compressor.tokens import CompressedChunk, Modality

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Tokens for the model.

    Attributes:
        tokens: Ids of text, `[n]` int64; or embeddings `[n, H]`.
        positions: `[3, n]` int64, ids for time, height and width.
    """

    tokens: Ids | Tensor
    positions: Ids

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> "Inputs":
        """Return tokens `start` to `stop` - 1."""
        return Inputs(self.tokens[start:stop], self.positions[:, start:stop])


@dataclass(frozen=True, slots=True)
class StreamIds:
    """Where the ids of a stream lie among those of the whole sequence.

    Attributes:
        base: Id of stream time zero.
        origin: What is subtracted from ids that follow time; grows with the stream.
        end: 1 + the highest id of the stream so far, before base and origin.
    """

    base: int
    origin: int = 0
    end: int = 0

    @property
    def next_id(self) -> int:
        """The lowest id for what follows the stream."""
        return self.base + self.end - self.origin

    def after(self, chunk: CompressedChunk) -> "StreamIds":
        """Return the ids' place once the chunk is part of the stream."""
        return replace(self, end=max(self.end, chunk.next_position))

    def ending_with(self, next_id: int) -> "StreamIds":
        """Return the ids' place for a stream of which `next_id` is 1 + the highest id."""
        return replace(self, end=next_id)

    def moved_to(self, origin: int) -> "StreamIds":
        """Return the ids' place under another origin."""
        return replace(self, origin=origin)

    def of(self, chunk: CompressedChunk) -> Ids:
        """Return the ids of a chunk's tokens: `[3, K]`."""
        ids: Ids = chunk.positions.cpu().numpy() + self.base
        return ids + time_shift(is_audio(chunk), -self.origin)


def is_audio(chunk: CompressedChunk) -> NDArray[np.bool_]:
    """Mark the audio tokens of a chunk: `[K]`."""
    marks: NDArray[np.bool_] = chunk.modality.cpu().numpy() == Modality.AUDIO
    return marks


def time_shift(is_audio: NDArray[np.bool_], shift: int) -> Ids:
    """Return what moving stream tokens in time adds to their ids.

    Args:
        is_audio: `[n]`, False for video.
        shift: Ids to move by.

    Returns:
        `[3, n]`: `shift` on all axes of audio, on the time axis alone of video.
    """
    space = np.where(is_audio, shift, 0)
    return np.stack([np.full(len(is_audio), shift), space, space])


def header_inputs(token_ids: Sequence[int]) -> tuple[Inputs, StreamIds]:
    """Number a header, which ends in the two opening markers; the stream's ids follow it."""
    positions = header_positions(len(token_ids)).numpy()
    return Inputs(np.array(token_ids), positions), StreamIds(stream_base(len(token_ids)))


def tail_inputs(token_ids: Sequence[int], ids: StreamIds) -> Inputs:
    """Number a question's tail, which begins with the two closing markers."""
    return Inputs(np.array(token_ids), tail_positions(ids.next_id, len(token_ids)).numpy())


def next_token(token_id: int, position: int) -> Inputs:
    """Return one token of text at a position."""
    return Inputs(np.array([token_id]), np.full((3, 1), position))
