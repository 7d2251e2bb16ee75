"""Differential token drop (DTD): drop video tokens that are like the frame before."""

import torch
from torch import Tensor

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import (
    NEW_SALIENCY,
    evenly_spaced,
    grid_budgets,
    keep_new_first,
)
from compressor.scores import temporal_redundancy
from compressor.tokens import TokenChunk
from compressor.video import StreamState


class DifferentialTokenDrop(Baseline):
    """Keeps the video tokens that differ most from the same place in the grid before.

    As published, the comparison is at feature level, against the unpruned frame before, kept ids
    stay, and the stream's first frame is not pruned for likeness. It is causal as published; the
    frame before is carried over chunks in the state, and dropped after a gap or a change of size.

    Knobs: the published threshold on similarity (or share to drop in each frame) becomes the keep
    ratio: the budget of the chunk's grids is pooled, so the threshold is in effect chosen for each
    chunk to meet it, and a busy grid gets more of it than a still one. Tokens of a grid without a
    grid before go first; where they alone exceed the budget they are thinned evenly.

    Audio, which the method does not treat, is evenly spaced. Kept rows are unmodified; scores are
    1 - similarity, and `NEW_SALIENCY` for tokens without a reference.

    Source: TimeChat-Online (arXiv 2504.17343), section 3; code yaolinli/TimeChat-Online.
    """

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        saliency = self._saliency(chunk, state)
        index = keep_new_first(saliency, sum(grid_budgets(chunk, self.config)))
        return Kept.rows(torch.cat(chunk.grids), index, saliency)

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        return Kept.rows(chunk.audio, evenly_spaced(len(chunk.audio), num_keep))

    def advance(self, chunk: TokenChunk, state: StreamState) -> StreamState:
        """See `Baseline`: the last grid, unpruned."""
        return self.remember(chunk, chunk.grids[-1]) if chunk.grids else StreamState()

    def _saliency(self, chunk: TokenChunk, state: StreamState) -> Tensor:
        follows = state.precedes(chunk, self.rules.max_gap_s)
        references = [state.grid if follows else None, *chunk.grids[:-1]]
        saliency = []
        for grid, reference in zip(chunk.grids, references, strict=True):
            saliency.append(change(grid, reference))
        return torch.cat(saliency)


def change(grid: Tensor, reference: Tensor | None) -> Tensor:
    """Score tokens `[P, D]` by 1 - cosine similarity with those of a reference, in float32.

    Returns:
        `[P]` float32; `NEW_SALIENCY` throughout without a reference of the same shape.
    """
    if reference is None or reference.shape != grid.shape:
        return torch.full((len(grid),), NEW_SALIENCY, device=grid.device)
    return 1 - temporal_redundancy(grid.unsqueeze(0).float(), reference.unsqueeze(0).float())[0]


__all__ = ["DifferentialTokenDrop", "change"]
