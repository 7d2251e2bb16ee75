"""Spatio-temporal video pruning (STVP), each chunk by itself. Has no parameters, knows no audio.

Source: OmniSIFT (arXiv 2602.04804), section 3, with the rounding of the official code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from compressor.config import CompressorConfig
from compressor.keep import keep_top, num_kept, take
from compressor.scores import spatial_redundancy, temporal_redundancy
from compressor.tokens import TokenChunk


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """What a live stream remembers from one chunk to the next. Empty at a stream's start.

    It is a cache: starting again from an empty one costs some tokens, never correctness.

    Attributes:
        grid: The last temporal grid, raw (unpruned), `[P, D]`; its own memory. None: no reference.
        end_s: When that grid ended, seconds since the stream's start.
        chunks_since_refresh: Chunks since a grid was last scored without a reference.
    """

    grid: Tensor | None = None
    end_s: float = 0.0
    chunks_since_refresh: int = 0

    def precedes(self, chunk: TokenChunk, max_gap_s: float) -> bool:
        """Say whether the grid may be compared with the chunk's first: adjacent, of equal kind."""
        if self.grid is None or not chunk.grids or abs(chunk.start_s - self.end_s) > max_gap_s:
            return False
        grid, first = self.grid, chunk.grids[0]
        kind = (grid.shape, grid.dtype, grid.device)
        return kind == (first.shape, first.dtype, first.device)


@dataclass(frozen=True, slots=True, eq=False)
class PrunedVideo:
    """The video tokens within budget, of B chunks of equal shapes.

    Attributes:
        embeddings: `[B, K, D]`, what guides the audio selector.
        index: `[B, K]` int64, ascending indices into the chunk's video tokens.
        scores: `[B, K]` float32, the saliency each token was chosen by.
        is_kept: `[B, K]` bool, the tokens that go on; None: all of them do.
        is_fresh: `[B]` bool, whether a grid was scored without a reference though one was at hand
            (a cut), or the first had none; None: so in all chunks.
    """

    embeddings: Tensor
    index: Tensor
    scores: Tensor
    is_kept: Tensor | None = None
    is_fresh: Tensor | None = None

    @classmethod
    def empty(cls, audio: Tensor) -> "PrunedVideo":
        """Give the outcome for chunks without video, beside their audio `[B, A, D]`."""
        num_chunks = len(audio)
        return cls(
            embeddings=audio[:, :0],
            index=torch.zeros(num_chunks, 0, dtype=torch.int64, device=audio.device),
            scores=torch.zeros(num_chunks, 0, device=audio.device),
        )


class Pruner(Protocol):
    """Chooses video tokens and decides what a stream remembers."""

    def reference(self, chunk: TokenChunk, state: StreamState) -> Tensor | None:
        """Give the grid `[P, D]` that the chunk's first grid is to be compared with, if any."""
        ...

    def prune(self, grids: Sequence[Tensor], reference: Tensor | None) -> PrunedVideo:
        """Prune B chunks of equal shapes.

        Args:
            grids: T >= 1 temporal grids, `[B, P_t, D]` each.
            reference: `[B, P_1, D]`, or None when none of the chunks has one.
        """
        ...

    def advance(self, chunk: TokenChunk, state: StreamState, *, is_fresh: bool) -> StreamState:
        """Give the state that follows the chunk; `is_fresh` as its row of `PrunedVideo` says."""
        ...


class VideoPruner:
    """The published method.

    Grids are paired: 1 with 2, 3 with 4, and so on. The first of a pair keeps the tokens least like
    its mean, the second those least like the same place in the first. Edge rules, as in the
    official code: a grid without a partner is treated as a first; a second grid of another size
    than its first has nothing to be compared with and is kept whole (its scores are spatial).

    Kept counts follow from shapes alone, so nothing here waits for a device.
    """

    def __init__(self, config: CompressorConfig) -> None:
        self._keep_ratio = config.video_keep_ratio

    def reference(self, chunk: TokenChunk, state: StreamState) -> Tensor | None:
        """See `Pruner`; there never is one."""
        return None

    def prune(self, grids: Sequence[Tensor], reference: Tensor | None) -> PrunedVideo:
        """See `Pruner`."""
        return PrunedVideo(*join(grids, self._choose(grids)))

    def advance(self, chunk: TokenChunk, state: StreamState, *, is_fresh: bool) -> StreamState:
        """See `Pruner`; nothing is remembered."""
        return StreamState()

    def _choose(self, grids: Sequence[Tensor]) -> "list[Choice]":
        judged = [self._judge(grids, number) for number in range(len(grids))]
        if len({grid.shape for grid in grids}) == 1:
            return _lowest([redundancy for redundancy, _ in judged], judged[0][1])
        return [choice for one, num_keep in judged for choice in _lowest([one], num_keep)]

    def _judge(self, grids: Sequence[Tensor], number: int) -> tuple[Tensor, int]:
        """Give a grid's redundancy `[B, P]` and the number of its tokens to keep."""
        grid, is_second = grids[number], number % 2 == 1
        num_keep = num_kept(grid.shape[1], self._keep_ratio)
        if is_second and grid.shape == grids[number - 1].shape:
            return temporal_redundancy(grid, grids[number - 1]), num_keep
        return spatial_redundancy(grid), grid.shape[1] if is_second else num_keep


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Tokens chosen in one grid: ascending indices into the grid, and their saliency, `[B, k]`."""

    index: Tensor
    saliency: Tensor


def _lowest(redundancy: Sequence[Tensor], num_keep: int) -> list[Choice]:
    """Choose the least redundant tokens of each of T grids of equal size, `[B, P]` each."""
    together = torch.cat(tuple(redundancy))
    # ranked by the similarity itself: 1 - similarity would round some of its ranks away
    index = keep_top(-together, num_keep)
    saliency = 1 - take(together, index)
    parts = (part.chunk(len(redundancy)) for part in (index, saliency))
    return [Choice(*part) for part in zip(*parts, strict=True)]


def join(grids: Sequence[Tensor], choices: Sequence[Choice]) -> tuple[Tensor, Tensor, Tensor]:
    """Put the choices of T >= 1 grids in sequence.

    Returns:
        The chosen embeddings `[B, K, D]`, their indices into the chunk's video tokens `[B, K]`,
        and their saliency `[B, K]`.
    """
    pairs = list(zip(grids, choices, strict=True))
    starts = accumulate((grid.shape[1] for grid in grids), initial=0)
    index = [choice.index + start for choice, start in zip(choices, starts, strict=False)]
    embeddings = [take(grid, choice.index) for grid, choice in pairs]
    saliency = [choice.saliency for choice in choices]
    return torch.cat(embeddings, dim=1), torch.cat(index, dim=1), torch.cat(saliency, dim=1)


__all__ = ["Choice", "PrunedVideo", "Pruner", "StreamState", "VideoPruner", "join"]
