"""How many tokens a compared method may keep: as many as OmniSIFT. Knows nothing about methods."""

from collections.abc import Sequence

from torch import Tensor

from compressor.config import CompressorConfig
from compressor.keep import evenly_spaced, keep_top, num_kept
from compressor.tokens import TokenChunk

NEW_SALIENCY = 4.0  # of a token with nothing to be compared with; a compared one has 0 to 2


def grid_budgets(chunk: TokenChunk, config: CompressorConfig) -> list[int]:
    """Count the tokens to keep of each grid by OmniSIFT's rounding rule."""
    return [num_kept(len(grid), config.video_keep_ratio) for grid in chunk.grids]


def audio_budget(chunk: TokenChunk, config: CompressorConfig) -> int:
    """Count the audio tokens to keep beside video by OmniSIFT's rounding rule."""
    return num_kept(len(chunk.audio), config.audio_keep_ratio)


def share(total: int, weights: Sequence[float], limits: Sequence[int]) -> list[int]:
    """Share tokens in proportion to weights, none above its limit.

    Given one by one to whoever has the highest weight per token so far (ties to the earlier), so
    that what a full one cannot take goes to the others in proportion.

    Args:
        total: Tokens to share, at most the sum of the limits.
        weights: Positive.
        limits: Of the same length.
    """
    counts = [0] * len(weights)
    for _ in range(total):
        open_places = [place for place, limit in enumerate(limits) if counts[place] < limit]
        best = max(open_places, key=lambda place: weights[place] / (counts[place] + 1))
        counts[best] += 1
    return counts


def keep_new_first(saliency: Tensor, num_keep: int) -> Tensor:
    """Pick new tokens, thinned evenly if they alone exceed the budget, then the most salient.

    Args:
        saliency: `[N]` float32, `NEW_SALIENCY` for new tokens.
        num_keep: Tokens to keep, 0 to N.

    Returns:
        Indices `[num_keep]`, int64, ascending.
    """
    new = (saliency == NEW_SALIENCY).nonzero().squeeze(1)
    if len(new) > num_keep:
        return new[evenly_spaced(len(new), num_keep).to(new.device)]
    return keep_top(saliency.unsqueeze(0), num_keep)[0]


__all__ = [
    "NEW_SALIENCY",
    "audio_budget",
    "grid_budgets",
    "keep_new_first",
    "share",
]
