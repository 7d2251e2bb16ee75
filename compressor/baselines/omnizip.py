"""OmniZip-style compression, made causal: audio says where the video tokens go."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import audio_budget, grid_budgets, share
from compressor.baselines.dtd import change
from compressor.config import CompressorConfig
from compressor.keep import evenly_spaced, keep_top
from compressor.tokens import TokenChunk
from compressor.video import StreamState

# published settings: https://github.com/KD-TAO/OmniZip
MERGED_PER_ANCHOR = 3
NUM_NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class OmnizipOptions:
    """What of OmniZip may be tuned; removed shares are published ones by default.

    Attributes:
        context_ratio: Audio tokens kept as anchors for others to be merged into, of all; 0.05 as
            published.
        min_removed: Of the video of a window whose audio is all salient.
        max_removed: Of the video of one whose audio is not.
        attention_scale: Of cosines; 8 is that of normed queries and keys in heads of 64.
        is_normed: Whether attention follows cosines; else inner products over the root of D, by
            which long embeddings receive more.
    """

    context_ratio: float = 0.05
    min_removed: float = 0.35
    max_removed: float = 0.75
    attention_scale: float = 8.0
    is_normed: bool = False


class AudioGuidedMerge(Baseline):
    """Keeps salient audio and, of each grid, the more video the more of its audio is salient.

    As published: audio tokens that receive most attention are kept (dominant); of the rest, evenly
    spaced anchors are kept; every other token goes to the anchor it is most like, and of those the
    three that some video token resembles most are merged into it. A window keeps from 0.25 of its
    video, where none of its audio is dominant, to 0.65, where all is; its grids are pruned in turn
    by density peaks (spatial) and by likeness to the grid before (temporal). An anchor's embedding
    is the mean of itself and a weighted mean of what is merged into it: not a row of the input, as
    all other kept ones are.

    The published method is offline twice over; made causal here:

    - Attention. It ranks tokens over the whole clip by the attention of the audio encoder's last
      layer, which a compressor behind the encoder cannot see. Here attention is that of the chunk's
      audio tokens to each other, from the cosines of their embeddings.
    - Windows. It shares the clip's video budget over windows of one chunk each, normalized over the
      clip. Here the chunk's budget is shared over its grids, each with the audio of its time.

    Knobs: `OmnizipOptions`. The published removed shares become the keep ratios; anchors count as
    kept.

    Source: OmniZip (arXiv 2511.14582), section 3; code KD-TAO/OmniZip.
    """

    def __init__(self, config: CompressorConfig, options: OmnizipOptions | None = None) -> None:
        super().__init__(config)
        self._options = options or OmnizipOptions()

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        scores = [_saliency(chunk.grids, number) for number in range(len(chunk.grids))]
        index, start = [], 0
        for grid, num_keep in zip(scores, self._budgets(chunk), strict=True):
            index.append(start + keep_top(grid.unsqueeze(0), num_keep)[0])
            start += len(grid)
        return Kept.rows(torch.cat(chunk.grids), torch.cat(index), torch.cat(scores))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        attention = self._attention(chunk.audio)
        dominant, anchors, rest = self._split(attention, num_keep)
        merged = chunk.audio.clone()
        merged[anchors] = merge_into(anchors, rest, chunk.audio, torch.cat(chunk.grids))
        index = torch.cat([dominant, anchors]).sort().values
        return Kept.rows(merged, index, attention)

    def _attention(self, audio: Tensor) -> Tensor:
        options = self._options
        return attention_received(audio, options.attention_scale if options.is_normed else None)

    def _split(self, attention: Tensor, num_keep: int) -> tuple[Tensor, Tensor, Tensor]:
        """Split audio tokens into dominant ones, anchors, and the rest; each ascending."""
        num_anchors = min(round(self._options.context_ratio * len(attention)), num_keep)
        dominant = keep_top(attention.unsqueeze(0), num_keep - num_anchors)[0]
        others = _without(torch.arange(len(attention), device=attention.device), dominant)
        anchors = others[evenly_spaced(len(others), num_anchors).to(others.device)]
        return dominant, anchors, _without(others, anchors)

    def _budgets(self, chunk: TokenChunk) -> list[int]:
        limits = [len(grid) for grid in chunk.grids]
        weights = [
            size * kept for size, kept in zip(limits, self._video_shares(chunk), strict=True)
        ]
        return share(sum(grid_budgets(chunk, self.config)), weights, limits)

    def _video_shares(self, chunk: TokenChunk) -> list[float]:
        """Give the share of its video that each grid would keep by the salience of its audio."""
        num_grids, num_audio = len(chunk.grids), len(chunk.audio)
        if num_audio < num_grids:
            return [1.0] * num_grids
        attention = self._attention(chunk.audio)
        dominant, _, _ = self._split(attention, audio_budget(chunk, self.config))
        is_dominant = torch.zeros(num_audio, device=attention.device)
        is_dominant[dominant] = 1
        parts = is_dominant.tensor_split(num_grids)
        salient = torch.stack([part.mean() for part in parts]).tolist()
        least, most = 1 - self._options.max_removed, 1 - self._options.min_removed
        return [least + (most - least) * part for part in salient]


def attention_received(tokens: Tensor, scale: float | None = 8.0) -> Tensor:
    """Score tokens by the mean attention of the others.

    Args:
        tokens: `[A, D]`, A >= 1.
        scale: Of cosines; None: inner products over the root of D instead.

    Returns:
        `[A]` float32, sums to 1.
    """
    if len(tokens) == 1:
        return torch.ones(1, device=tokens.device)
    tokens = tokens.float()
    if scale is None:
        logits = tokens @ tokens.T / tokens.shape[1] ** 0.5
    else:
        unit = functional.normalize(tokens, dim=-1)
        logits = scale * unit @ unit.T
    received: Tensor = logits.fill_diagonal_(-torch.inf).softmax(dim=1).mean(dim=0)
    return received


def merge_into(anchors: Tensor, rest: Tensor, audio: Tensor, video: Tensor) -> Tensor:
    """Merge leftover audio tokens into anchors.

    Args:
        anchors: `[C]`, indices into audio.
        rest: `[R]`, indices of the tokens that are not kept.
        audio: `[A, D]`.
        video: `[V, D]`, V >= 1, the unpruned video.

    Returns:
        The anchors' new embeddings, `[C, D]`.
    """
    if len(anchors) == 0 or len(rest) == 0:
        return audio[anchors]
    unit = functional.normalize(audio.float(), dim=-1)
    nearest = (unit[rest] @ unit[anchors].T).argmax(dim=1)
    seen = (unit[rest] @ functional.normalize(video.float(), dim=-1).T).amax(dim=1)
    merged = [
        _mean_with(anchor, rest[nearest == number], seen[nearest == number], audio)
        for number, anchor in enumerate(anchors)
    ]
    return torch.stack(merged).to(audio.dtype)


def density_peaks(grid: Tensor) -> Tensor:
    """Score tokens `[P, D]` as cluster centres: dense, and far from anything denser.

    Density is exp(-mean distance to the nearest five), distance 1 - cosine similarity; the densest
    counts as far away as its farthest token.

    Returns:
        `[P]` float32.
    """
    if len(grid) == 1:
        return torch.ones(1, device=grid.device)
    unit = functional.normalize(grid.float(), dim=-1)
    distance = 1 - unit @ unit.T
    others = distance.clone().fill_diagonal_(torch.inf)
    near = others.topk(min(NUM_NEIGHBOURS, len(grid) - 1), dim=1, largest=False).values
    density = (-near.mean(dim=1)).exp()
    is_denser = density.unsqueeze(0) > density.unsqueeze(1)
    gap = others.masked_fill(~is_denser, torch.inf).amin(dim=1)
    gap = torch.where(gap.isinf(), distance.fill_diagonal_(0).amax(dim=1), gap)
    return gap * density


def _saliency(grids: tuple[Tensor, ...], number: int) -> Tensor:
    if number % 2 == 1 and grids[number].shape == grids[number - 1].shape:
        return change(grids[number], grids[number - 1])
    return density_peaks(grids[number])


def _mean_with(anchor: Tensor, members: Tensor, seen: Tensor, audio: Tensor) -> Tensor:
    own = audio[anchor].float()
    if len(members) == 0:
        return own
    best = keep_top(seen.unsqueeze(0), min(MERGED_PER_ANCHOR, len(members)))[0]
    weights = seen[best].softmax(dim=0)
    return (own + weights @ audio[members[best]].float()) / 2


def _without(index: Tensor, removed: Tensor) -> Tensor:
    return index[~torch.isin(index, removed)]


__all__ = [
    "AudioGuidedMerge",
    "OmnizipOptions",
    "attention_received",
    "density_peaks",
    "merge_into",
]
