"""Evenly spaced tokens: what keeping costs when nothing is looked at."""

import torch
from torch import Tensor

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import evenly_spaced, grid_budgets
from compressor.tokens import TokenChunk
from compressor.video import StreamState


class UniformDrop(Baseline):
    """Keeps tokens at even distances: in each grid in raster order, in audio over time.

    Kept rows are unmodified; all scores are 1. Sees a chunk only, so it is causal as it is. Knobs:
    none but the keep ratios.
    """

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        return Kept.rows(
            torch.cat(chunk.grids), even_video(chunk, grid_budgets(chunk, self.config))
        )

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        return Kept.rows(chunk.audio, evenly_spaced(len(chunk.audio), num_keep))


def even_video(chunk: TokenChunk, budgets: list[int]) -> Tensor:
    """Pick evenly spaced tokens of each grid: ascending indices into the chunk's video tokens."""
    index, start = [], 0
    for grid, num_keep in zip(chunk.grids, budgets, strict=True):
        index.append(start + evenly_spaced(len(grid), num_keep))
        start += len(grid)
    return torch.cat(index)


__all__ = ["UniformDrop", "even_video"]
