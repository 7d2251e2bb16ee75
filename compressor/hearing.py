"""Which audio tokens to keep by their scores. Knows nothing about how they are scored."""

from torch import Tensor

from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.keep import keep_top, keep_within, num_kept


def pick_audio(scores: Tensor, config: CompressorConfig) -> tuple[Tensor, Tensor | None]:
    """Pick the best-scored audio tokens within the budget `num_kept(A, audio_keep_ratio)`.

    With a published profile all of them are kept. With a live one, and a selector that knows what
    is quiet, only those whose score reaches `quiet_score` are, but never fewer than the floor
    `num_kept(A, audio_anchor_ratio)`, or the budget if that is less.

    Args:
        scores: `[B, A]`, A >= 1, 0 to 1; NaN ranks first.
        config: Ratios and rules.

    Returns:
        Indices `[B, K]` of the K tokens within budget, int64, ascending; and which of them are
        kept, `[B, K]` bool, or None if all are.
    """
    budget = num_kept(scores.shape[1], config.audio_keep_ratio)
    if config.quiet_score == 0:
        return keep_top(scores, budget), None
    rules = config.cross_chunk or CrossChunkConfig()
    floor = min(budget, num_kept(scores.shape[1], rules.audio_anchor_ratio))
    count = (scores >= config.quiet_score).sum(dim=1).clamp(floor, budget)
    return keep_within(scores, budget, count)


__all__ = ["pick_audio"]
