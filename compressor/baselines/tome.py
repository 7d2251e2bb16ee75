"""ToMe: merge the most similar pairs of tokens, round by round, until the budget is met."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import grid_budgets
from compressor.keep import rank
from compressor.tokens import TokenChunk
from compressor.video import StreamState

# of the tokens left, merged per round; the published schedule removes a few percent per layer
_SHARE_PER_ROUND = 0.125


class BipartiteMerge(Baseline):
    """Merges tokens by bipartite soft matching, all video of a chunk together, then all audio.

    Each round: tokens alternate between two sets; every token of the first finds its most similar
    in the second; the most similar pairs are merged into the second's place, averages weighted by
    the number of tokens they stand for. Kept embeddings are averages, not rows of the input; a kept
    index and position is that of the token merged into. The two grids of a place lie side by side
    in the order that alternates, so that the same place in both can be merged.

    Sees a chunk only, so it is causal as it is. Knobs: the published number of merges per layer
    becomes as many merges as the keep ratio asks for, before the first layer, at most an eighth of
    the tokens left in each round; similarity is that of the embeddings, the published keys of an
    attention layer not being at hand. Scores are the number of tokens that a kept one stands for.

    Source: ToMe (arXiv 2210.09461), section 3; code facebookresearch/ToMe.
    """

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        tokens = torch.cat(chunk.grids)
        return _merge(tokens, _interleaved(chunk), sum(grid_budgets(chunk, self.config)))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        order = torch.arange(len(chunk.audio), device=chunk.audio.device)
        return _merge(chunk.audio, order, num_keep)


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Tokens left: where they stand, the mean of what they stand for, and of how many."""

    index: Tensor
    means: Tensor
    sizes: Tensor

    def taken(self, places: Tensor) -> "_Groups":
        return _Groups(self.index[places], self.means[places], self.sizes[places])


def _interleaved(chunk: TokenChunk) -> Tensor:
    """Order video tokens place by place over the grids; grid by grid if sizes differ."""
    sizes = [len(grid) for grid in chunk.grids]
    order = torch.arange(sum(sizes), device=chunk.audio.device)
    return order.view(len(sizes), -1).T.flatten() if len(set(sizes)) == 1 else order


def _merge(tokens: Tensor, order: Tensor, num_keep: int) -> Kept:
    sizes = torch.ones(len(tokens), device=tokens.device)
    groups = _Groups(order, tokens[order].float(), sizes)
    while len(groups.index) > num_keep:
        num_left = len(groups.index)
        num_merges = min(num_left - num_keep, max(1, int(num_left * _SHARE_PER_ROUND)))
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


__all__ = ["BipartiteMerge"]
