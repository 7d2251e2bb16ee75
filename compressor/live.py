"""Video pruning of a live stream: each grid against the one before it, across chunks.

Where the published method spends the same budget on every chunk, this one spends what has changed.
Has no parameters, knows no audio and no clock.

Source: cross-chunk extension of OmniSIFT (arXiv 2602.04804, which names redundancy across chunks as
an open limit); comparing adjacent frames is TimeChat-Online's idea (arXiv 2504.17343).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.keep import keep_within, num_kept, take
from compressor.scores import spatial_redundancy, temporal_redundancy
from compressor.tokens import TokenChunk
from compressor.video import Choice, PrunedVideo, StreamState, join

# lifts every changed token above every still one: saliency is at most 2
_CHANGED_FIRST = 4.0


class LivePruner:
    """Keeps what changed since the grid before, and a few anchors of what did not.

    Each grid is compared, unpruned, with the one before it, the first with the last of the previous
    chunk. Kept are the most changed tokens, at most the budget `num_kept(P, video_keep_ratio)`; of
    them only those whose change reaches `still_saliency`, but never fewer than the floor
    `num_kept(P, anchor_ratio)`, filled up with the tokens least like the grid's mean (anchors).

    A grid without a reference is pruned by its mean alone and spends the whole budget: the first
    of a stream, after a gap, after a change of size, at a periodic refresh, and one that differs
    from its reference in `cut_saliency` on average (a scene cut).

    The tokens within budget guide the audio selector also where they are dropped as still: the LLM
    has seen their like, the selector has no memory and was trained with that many.

    Similarities are computed in float32: in bfloat16 all similarities above 0.996 are one, and a
    still scene would be a tie that its top-left corner wins.
    """

    def __init__(self, config: CompressorConfig, rules: CrossChunkConfig) -> None:
        self._keep_ratio = config.video_keep_ratio
        self._rules = rules

    def reference(self, chunk: TokenChunk, state: StreamState) -> Tensor | None:
        """See `Pruner`: the state's grid if adjacent, of equal kind, and not due a refresh."""
        is_due = state.chunks_since_refresh + 1 >= self._rules.refresh_chunks
        return state.grid if state.precedes(chunk, self._rules.max_gap_s) and not is_due else None

    def prune(self, grids: Sequence[Tensor], reference: Tensor | None) -> PrunedVideo:
        """See `Pruner`."""
        references = [reference, *grids[:-1]]
        marked = [self._mark(*pair) for pair in zip(grids, references, strict=True)]
        embeddings, index, scores = join(grids, [choice for choice, _, _ in marked])
        is_kept = torch.cat([is_kept for _, is_kept, _ in marked], dim=1)
        is_cut = torch.stack([is_cut for _, _, is_cut in marked]).any(dim=0)
        is_fresh = torch.ones_like(is_cut) if reference is None else is_cut
        return PrunedVideo(embeddings, index, scores, is_kept, is_fresh)

    def advance(self, chunk: TokenChunk, state: StreamState, *, is_fresh: bool) -> StreamState:
        """See `Pruner`: the chunk's last grid, or nothing after a chunk without video."""
        if not chunk.grids:
            return StreamState()
        return StreamState(
            # a copy: a view would keep the whole batch it came in alive
            grid=chunk.grids[-1].detach().clone(),
            end_s=chunk.start_s + len(chunk.grids) * self._rules.grid_s,
            chunks_since_refresh=0 if is_fresh else state.chunks_since_refresh + 1,
        )

    def _mark(self, grid: Tensor, reference: Tensor | None) -> tuple[Choice, Tensor, Tensor]:
        """Choose the tokens within budget, mark those to keep `[B, k]` and the cuts `[B]`."""
        num_chunks, num_tokens, _ = grid.shape
        budget = num_kept(num_tokens, self._keep_ratio)
        floor = min(budget, num_kept(num_tokens, self._rules.anchor_ratio))
        spatial = 1 - spatial_redundancy(grid.float())
        if reference is None or reference.shape != grid.shape:
            temporal = spatial
            is_changed = torch.ones_like(spatial, dtype=torch.bool)
            is_cut = torch.zeros(num_chunks, dtype=torch.bool, device=grid.device)
        else:
            temporal = 1 - temporal_redundancy(grid.float(), reference.float())
            is_cut = temporal.mean(dim=1) > self._rules.cut_saliency
            temporal = torch.where(is_cut.unsqueeze(1), spatial, temporal)
            is_changed = (temporal >= self._rules.still_saliency) | is_cut.unsqueeze(1)
        priority = torch.where(is_changed, temporal + _CHANGED_FIRST, spatial)
        count = is_changed.sum(dim=1).clamp(floor, budget)
        index, is_kept = keep_within(priority, budget, count)
        saliency = take(torch.where(is_changed, temporal, spatial), index)
        return Choice(index, saliency), is_kept, is_cut


__all__ = ["LivePruner"]
