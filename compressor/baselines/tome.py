"""ToMe: merge the most similar pairs of tokens, round by round, until the budget is met."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import grid_budgets
from compressor.config import CompressorConfig
from compressor.keep import rank
from compressor.tokens import TokenChunk
from compressor.video import StreamState


@dataclass(frozen=True, slots=True)
class TomeOptions:
    """What of ToMe may be tuned.

    Attributes:
        share_per_round: Of the tokens left, merged per round, in (0, 0.5]; the published schedule
            removes a few percent per layer.
        is_interleaved: Whether the grids of a place lie side by side in the order that alternates,
            so that the same place in both can be merged; else grid after grid.
    """

    share_per_round: float = 0.03
    is_interleaved: bool = True


class BipartiteMerge(Baseline):
    """Merges tokens by bipartite soft matching, all video of a chunk together, then all audio.

    Each round: tokens alternate between two sets; every token of the first finds its most similar
    in the second; the most similar pairs are merged into the second's place, averages weighted by
    the number of tokens they stand for. Kept embeddings are averages, not rows of the input; a kept
    index and position is that of the token merged into.

    Sees a chunk only, so it is causal as it is. Knobs: `TomeOptions`. The published number of
    merges per layer becomes as many merges as the keep ratio asks for, before the first layer, in
    rounds; similarity is that of the embeddings, the published keys of an attention layer not being
    at hand. Scores are the number of tokens that a kept one stands for.

    Source: ToMe (arXiv 2210.09461), section 3; code facebookresearch/ToMe.
    """

    def __init__(self, config: CompressorConfig, options: TomeOptions | None = None) -> None:
        super().__init__(config)
        self._options = options or TomeOptions()

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        tokens = torch.cat(chunk.grids)
        order = _interleaved(chunk) if self._options.is_interleaved else _in_place(tokens)
        num_keep = sum(grid_budgets(chunk, self.config))
        return _merge(tokens, order, num_keep, self._options.share_per_round)

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        share = self._options.share_per_round
        return _merge(chunk.audio, _in_place(chunk.audio), num_keep, share)


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Tokens left: where they stand, the mean of what they stand for, and of how many."""

    index: Tensor
    means: Tensor
    sizes: Tensor

    def taken(self, places: Tensor) -> "_Groups":
        return _Groups(self.index[places], self.means[places], self.sizes[places])


def _in_place(tokens: Tensor) -> Tensor:
    return torch.arange(len(tokens), device=tokens.device)


def _interleaved(chunk: TokenChunk) -> Tensor:
    """Order video tokens place by place over the grids; grid by grid if sizes differ."""
    sizes = [len(grid) for grid in chunk.grids]
    order = torch.arange(sum(sizes), device=chunk.audio.device)
    return order.view(len(sizes), -1).T.flatten() if len(set(sizes)) == 1 else order


def _merge(tokens: Tensor, order: Tensor, num_keep: int, share_per_round: float) -> Kept:
    sizes = torch.ones(len(tokens), device=tokens.device)
    groups = _Groups(order, tokens[order].float(), sizes)
    while len(groups.index) > num_keep:
        num_left = len(groups.index)
        num_merges = min(num_left - num_keep, max(1, int(num_left * share_per_round)))
        groups = _round(groups, num_merges)
    kept = groups.taken(groups.index.argsort())
    return Kept(kept.index, kept.sizes, kept.means.to(tokens.dtype))


def _round(groups: _Groups, num_merges: int) -> _Groups:
    """Merge the `num_merges` (at most half) best pairs; order is preserved."""
    unit = functional.normalize(groups.means, dim=-1)
    similarity, partner = (unit[::2] @ unit[1::2].T).max(dim=1)
    sources = rank(similarity.unsqueeze(0))[0, :num_merges]
    targets = 2 * partner[sources] + 1
    gone = 2 * sources
    sizes = groups.sizes.index_add(0, targets, groups.sizes[gone])
    sums = groups.means * groups.sizes.unsqueeze(1)
    means = sums.index_add(0, targets, sums[gone]) / sizes.unsqueeze(1)
    is_left = torch.ones(len(sizes), dtype=torch.bool, device=sizes.device)
    is_left[gone] = False
    return _Groups(groups.index, means, sizes).taken(is_left.nonzero().squeeze(1))


__all__ = ["BipartiteMerge", "TomeOptions"]
