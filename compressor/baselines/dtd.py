"""Differential token drop (DTD): drop video tokens that are like the frame before."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import (
    NEW_SALIENCY,
    grid_budgets,
    keep_new_first,
)
from compressor.config import CompressorConfig
from compressor.keep import evenly_spaced
from compressor.scores import temporal_redundancy
from compressor.tokens import TokenChunk
from compressor.video import StreamState


@dataclass(frozen=True, slots=True)
class DtdOptions:
    """What of DTD may be tuned.

    Attributes:
        is_pooled: Whether the grids of a chunk share one budget, so that a busy one gets more of it
            than a still one.
        is_audio_differential: Whether audio, too, keeps what differs most from the token before,
            instead of being evenly spaced.
    """

    is_pooled: bool = False
    is_audio_differential: bool = True


class DifferentialTokenDrop(Baseline):
    """Keeps the video tokens that differ most from the same place in the grid before.

    As published, the comparison is at feature level, against the unpruned frame before, kept ids
    stay, and the stream's first frame is not pruned for likeness. It is causal as published; the
    frame before is carried over chunks in the state, and dropped after a gap or a change of size.

    Knobs: `DtdOptions`. The published threshold on similarity (or share to drop in each frame)
    becomes the keep ratio: it is in effect chosen for each chunk to meet the budget. Tokens of a
    grid without a grid before go first; where they alone exceed the budget they are thinned evenly.

    Audio, which the method does not treat, is evenly spaced, or kept by the same rule with one
    token as a frame. Kept rows are unmodified; scores are 1 - similarity, and `NEW_SALIENCY` for
    tokens without a reference.

    Source: TimeChat-Online (arXiv 2504.17343), section 3; code yaolinli/TimeChat-Online.
    """

    def __init__(self, config: CompressorConfig, options: DtdOptions | None = None) -> None:
        super().__init__(config)
        self._options = options or DtdOptions()

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        saliency, budgets = self._saliency(chunk, state), grid_budgets(chunk, self.config)
        if self._options.is_pooled:
            index = keep_new_first(torch.cat(saliency), sum(budgets))
        else:
            starts = accumulate((len(grid) for grid in saliency), initial=0)
            parts = zip(saliency, budgets, starts, strict=False)
            index = torch.cat([keep_new_first(one, num) + start for one, num, start in parts])
        return Kept.rows(torch.cat(chunk.grids), index, torch.cat(saliency))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        if not self._options.is_audio_differential:
            return Kept.rows(chunk.audio, evenly_spaced(len(chunk.audio), num_keep))
        saliency = change(chunk.audio, chunk.audio.roll(1, dims=0))
        saliency[0] = NEW_SALIENCY
        return Kept.rows(chunk.audio, keep_new_first(saliency, num_keep), saliency)

    def advance(self, chunk: TokenChunk, state: StreamState) -> StreamState:
        """See `Baseline`: the last grid, unpruned."""
        return self.remember(chunk, chunk.grids[-1]) if chunk.grids else StreamState()

    def _saliency(self, chunk: TokenChunk, state: StreamState) -> list[Tensor]:
        follows = state.precedes(chunk, self.rules.max_gap_s)
        references = [state.grid if follows else None, *chunk.grids[:-1]]
        return [change(*pair) for pair in zip(chunk.grids, references, strict=True)]


def change(grid: Tensor, reference: Tensor | None) -> Tensor:
    """Score tokens `[P, D]` by 1 - cosine similarity with those of a reference, in float32.

    Returns:
        `[P]` float32; `NEW_SALIENCY` throughout without a reference of the same shape.
    """
    if reference is None or reference.shape != grid.shape:
        return torch.full((len(grid),), NEW_SALIENCY, device=grid.device)
    return 1 - temporal_redundancy(grid.unsqueeze(0).float(), reference.unsqueeze(0).float())[0]


__all__ = ["DifferentialTokenDrop", "DtdOptions", "change"]
