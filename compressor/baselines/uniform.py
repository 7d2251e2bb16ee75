"""Evenly spaced tokens: what keeping costs when nothing is looked at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import grid_budgets
from compressor.config import CompressorConfig
from compressor.keep import evenly_spaced
from compressor.tokens import TokenChunk
from compressor.video import StreamState


@dataclass(frozen=True, slots=True)
class UniformOptions:
    """What of even spacing may be tuned.

    Attributes:
        phase: Where in its equal part a kept token stands, in [0, 1).
    """

    phase: float = 0.0


class UniformDrop(Baseline):
    """Keeps tokens at even distances: in each grid in raster order, in audio over time.

    Kept rows are unmodified; all scores are 1. Sees a chunk only, so it is causal as it is. Knobs:
    `UniformOptions`.
    """

    def __init__(self, config: CompressorConfig, options: UniformOptions | None = None) -> None:
        super().__init__(config)
        self._phase = (options or UniformOptions()).phase

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        budgets = grid_budgets(chunk, self.config)
        return Kept.rows(torch.cat(chunk.grids), even_video(chunk, budgets, self._phase))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        return Kept.rows(chunk.audio, evenly_spaced(len(chunk.audio), num_keep, self._phase))


def even_video(chunk: TokenChunk, budgets: list[int], phase: float = 0.5) -> Tensor:
    """Pick evenly spaced tokens of each grid: ascending indices into the chunk's video tokens."""
    index, start = [], 0
    for grid, num_keep in zip(chunk.grids, budgets, strict=True):
        index.append(start + evenly_spaced(len(grid), num_keep, phase))
        start += len(grid)
    return torch.cat(index)


__all__ = ["UniformDrop", "UniformOptions", "even_video"]
