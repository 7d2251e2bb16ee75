"""DyCoke-style temporal merging: windows of four frames, an anchor and what differs from it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import (
    NEW_SALIENCY,
    grid_budgets,
    keep_new_first,
    share,
)
from compressor.baselines.dtd import change
from compressor.config import CompressorConfig
from compressor.tokens import TokenChunk
from compressor.video import StreamState

WINDOW = 4


@dataclass(frozen=True, slots=True)
class DycokeOptions:
    """What of DyCoke may be tuned.

    Attributes:
        other_share: Tokens of a compared grid for each of an anchor's, 0.3 in the published
            default (merging ratio 0.7), where anchors are kept whole.
    """

    other_share: float = 0.3


class TemporalMerge(Baseline):
    """Keeps an anchor grid per window of four, and of the others what differs from their like.

    As published: in a window the second grid is compared with the first, the fourth with the third,
    the third with the first; of compared grids the least similar tokens stay. Like the official
    code, and unlike the word, a merged token is represented by the one it is like and not averaged
    with it: kept rows are unmodified. The method's second stage prunes the cache by the LLM's
    attention while decoding; it needs the question and is no part of this comparison.

    Causal: a window is two chunks of two grids; the anchor is carried over in the state. After a
    gap or a change of size a window starts anew; a chunk of other than two grids is a window by
    itself.

    Knobs: `DycokeOptions`. The published merging ratio leaves (1 + 3 * share) / 4 of the tokens, so
    no setting keeps less than a quarter. Here an anchor and another grid share the chunk's budget
    as 1 : `other_share`, and an anchor cut below its size is thinned evenly.

    Audio, which the method does not treat, is merged by the same rule with one token as a frame,
    each chunk by itself (the OmniSIFT paper, too, compares with merging in both modalities). Scores
    are 1 - similarity, and `NEW_SALIENCY` for anchors.

    Source: DyCoke (arXiv 2411.15024), section 3; code KD-TAO/DyCoke.
    """

    def __init__(self, config: CompressorConfig, options: DycokeOptions | None = None) -> None:
        super().__init__(config)
        self._options = options or DycokeOptions()

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        scores = self._scores(chunk, state)
        weights = [1.0 if _is_anchor(grid) else self._options.other_share for grid in scores]
        limits = [len(grid) for grid in chunk.grids]
        budgets = share(sum(grid_budgets(chunk, self.config)), weights, limits)
        index, start = [], 0
        for grid, num_keep in zip(scores, budgets, strict=True):
            index.append(start + keep_new_first(grid, num_keep))
            start += len(grid)
        return Kept.rows(torch.cat(chunk.grids), torch.cat(index), torch.cat(scores))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        tokens = chunk.audio
        place = torch.arange(len(tokens), device=tokens.device)
        back = torch.tensor([0, 1, 2, 1], device=tokens.device)[place % WINDOW]
        scores = change(tokens, tokens[place - back])
        scores[place % WINDOW == 0] = NEW_SALIENCY
        return Kept.rows(tokens, keep_new_first(scores, num_keep), scores)

    def advance(self, chunk: TokenChunk, state: StreamState) -> StreamState:
        """See `Baseline`: the anchor, while its window is open."""
        is_first_half = len(chunk.grids) == 2 and not self._is_second_half(chunk, state)
        return self.remember(chunk, chunk.grids[0]) if is_first_half else StreamState()

    def _is_second_half(self, chunk: TokenChunk, state: StreamState) -> bool:
        return len(chunk.grids) == 2 and state.precedes(chunk, self.rules.max_gap_s)

    def _scores(self, chunk: TokenChunk, state: StreamState) -> list[Tensor]:
        grids = chunk.grids
        if self._is_second_half(chunk, state):
            return [change(grids[0], state.grid), change(grids[1], grids[0])]
        scores = []
        for number, grid in enumerate(grids):
            back = (0, 1, 2, 1)[number % WINDOW]
            scores.append(change(grid, grids[number - back] if back else None))
        return scores


def _is_anchor(scores: Tensor) -> bool:
    return bool(scores[0] == NEW_SALIENCY)


__all__ = ["DycokeOptions", "TemporalMerge"]
