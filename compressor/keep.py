"""How many tokens to keep, which, and how to take them. Knows nothing about what scores mean."""

import torch
from torch import Tensor


def num_kept(num_tokens: int, keep_ratio: float) -> int:
    """Count the tokens to keep: all but the whole part of the removed share.

    At least one of one or more tokens is kept. The removed share is cleaned of float noise first:
    for a ratio of 0.33 it is 0.67, as the official code is given, not 0.6699999999999999.

    Args:
        num_tokens: Tokens to choose from, 0 or more.
        keep_ratio: Kept / total, in (0, 1].

    Source: the official code drops int(n * rho); the paper's text keeps floor(n * keep_ratio),
        which is one fewer unless n * keep_ratio is whole.
    """
    removed_ratio = round(1 - keep_ratio, 9)
    return num_tokens - int(num_tokens * removed_ratio)


def keep_top(scores: Tensor, num_keep: int) -> Tensor:
    """Pick the highest scores of each row.

    Args:
        scores: `[B, N]`, any float dtype.
        num_keep: Tokens to keep per row, 0 to N.

    Returns:
        Indices `[B, num_keep]`, int64, ascending in each row. Ties go to the earlier token.

    Raises:
        ValueError: If `num_keep` is outside 0 to N.
    """
    if not 0 <= num_keep <= scores.shape[-1]:
        raise ValueError(f"cannot keep {num_keep} of {scores.shape[-1]} tokens")
    return rank(scores)[:, :num_keep].sort(dim=-1).values


def keep_within(scores: Tensor, budget: int, count: Tensor) -> tuple[Tensor, Tensor]:
    """Pick the highest scores of each row within a budget, and mark those that a count allows.

    Args:
        scores: `[B, N]`, any float dtype; NaN ranks first.
        budget: Tokens to pick per row, 0 to N.
        count: `[B]` integer, of the picked tokens those to keep in each row.

    Returns:
        Indices `[B, budget]`, int64, ascending in each row, and which of them are the `count`
        highest, `[B, budget]` bool. Ties go to the earlier token.
    """
    index, place = rank(scores)[:, :budget].sort(dim=-1)
    return index, place < count.unsqueeze(1)


def evenly_spaced(num_tokens: int, num_keep: int, phase: float = 0.5) -> Tensor:
    """Pick one token of each of `num_keep` equal parts of a row: `[num_keep]` int64, ascending.

    Args:
        num_tokens: Of the row.
        num_keep: At most as many.
        phase: Where in its part, in [0, 1); its middle by default.
    """
    part = num_tokens / max(num_keep, 1)
    return ((torch.arange(num_keep, dtype=torch.float64) + phase) * part + 1e-9).long()


def rank(scores: Tensor) -> Tensor:
    """Order each row by falling score, ties by index: `[B, N]` to indices `[B, N]`, int64."""
    # topk would do half the work but promises nothing about ties
    return scores.sort(dim=-1, descending=True, stable=True).indices


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Gather tokens of each row: `[B, N, ...]` by `[B, K]` to a copy `[B, K, ...]`."""
    if len(tokens) == 1:
        return tokens.index_select(1, index[0])
    rows = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    return tokens[rows, index]


def straight_through(embeddings: Tensor, scores: Tensor) -> Tensor:
    """Let gradient reach the scores of kept tokens, leaving the embeddings' values alone.

    The forward factor is the hard mask, 1; its gradient with respect to a score is 1. Written so
    that the factor is exactly 1 in every dtype. Dropped tokens get no gradient, as in the official
    code.

    Args:
        embeddings: Kept tokens, `[B, K, D]`.
        scores: Their scores, `[B, K]`.

    Returns:
        `[B, K, D]`, bit-equal to `embeddings`.
    """
    factor = scores - scores.detach() + 1
    return embeddings * factor.to(embeddings.dtype).unsqueeze(-1)


__all__ = [
    "evenly_spaced",
    "keep_top",
    "keep_within",
    "num_kept",
    "rank",
    "straight_through",
    "take",
]
