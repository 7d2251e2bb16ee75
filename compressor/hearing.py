"""Which audio tokens to keep by their scores. Knows nothing about how they are scored."""

import torch
from torch import Tensor

from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.keep import evenly_spaced, keep_top, keep_within, num_kept

# lift what is heard above every anchor, and that above the rest: scores are at most 1
_HEARD_FIRST, _ANCHORS_NEXT = 4.0, 2.0


def pick_audio(scores: Tensor, config: CompressorConfig) -> tuple[Tensor, Tensor | None]:
    """Pick audio tokens within the budget `num_kept(A, audio_keep_ratio)`.

    With a published profile these are the best-scored, all of them kept. With a live one, and a
    selector that knows what is quiet, kept are only those whose score reaches `quiet_score`, and
    `num_kept(A, audio_anchor_ratio)` anchors at even distances, however quiet: of silence, where it
    is says more than what it scores (docs/experiments.md). What is heard comes first where the
    budget is short.

    Args:
        scores: `[B, A]`, A >= 1, 0 to 1; NaN ranks first.
        config: Ratios and rules.

    Returns:
        Indices `[B, K]` of the K tokens within budget, int64, ascending; and which of them are
        kept, `[B, K]` bool, or None if all are.
    """
    num_tokens = scores.shape[1]
    budget = num_kept(num_tokens, config.audio_keep_ratio)
    if config.quiet_score == 0:
        return keep_top(scores, budget), None
    rules = config.cross_chunk or CrossChunkConfig()
    is_anchor = torch.zeros_like(scores, dtype=torch.bool)
    is_anchor[:, evenly_spaced(num_tokens, num_kept(num_tokens, rules.audio_anchor_ratio))] = True
    is_heard = scores >= config.quiet_score
    priority = scores + _ANCHORS_NEXT * is_anchor
    priority = torch.where(is_heard, scores + _HEARD_FIRST, priority)
    count = (is_heard | is_anchor).sum(dim=1).clamp(max=budget)
    return keep_within(priority, budget, count)


__all__ = ["pick_audio"]
