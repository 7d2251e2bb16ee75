"""Which tokens move where when some are removed from pages. Pure: knows nothing about tensors.

Every page but the last must be full, and order is free. So untouched pages stay, emptied ones go,
and what is left in the broken ones is merged into as few of them as it fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Compaction:
    """How to remove tokens from a sequence; pages go by their number in it.

    Attributes:
        whole: Pages that stay as they are.
        targets: Broken pages that are filled up, in this order after the whole ones.
        num_fresh: New pages to fill after those.
        movers: Former indices of the tokens to copy.
        holes: Where each goes: offset into the targets and fresh pages laid end to end.
        order: Former index of every token that is left, in its new order.
    """

    whole: tuple[int, ...]
    targets: tuple[int, ...]
    num_fresh: int
    movers: Indices
    holes: Indices
    order: Indices


def plan_compaction(
    keep: NDArray[np.bool_], page_tokens: int, is_writable: Sequence[bool]
) -> Compaction:
    """Plan the removal of tokens from a sequence of pages.

    Args:
        keep: `[length]`, False for the tokens to remove.
        page_tokens: Tokens per page.
        is_writable: Whether each page may be written to: nobody shares it.

    Returns:
        A plan that copies only tokens of broken pages, and writes only to writable and new ones.
    """
    kept = np.zeros(len(is_writable) * page_tokens, dtype=np.bool_)
    kept[: len(keep)] = keep
    by_page = kept.reshape(-1, page_tokens)
    counts = by_page.sum(axis=1)
    is_broken = (counts > 0) & (counts < page_tokens)
    whole = np.flatnonzero(counts == page_tokens)
    targets, num_fresh = _choose_targets(by_page, np.flatnonzero(is_broken), is_writable)
    tokens = np.flatnonzero(kept & np.repeat(is_broken, page_tokens))
    movers, holes, merged = _fill(tokens, targets, page_tokens, len(is_writable))
    whole_tokens = (whole[:, None] * page_tokens + np.arange(page_tokens)).reshape(-1)
    return Compaction(
        whole=tuple(whole.tolist()),
        targets=tuple(targets),
        num_fresh=num_fresh,
        movers=movers,
        holes=holes,
        order=np.concatenate([whole_tokens, merged]),
    )


def _choose_targets(
    by_page: NDArray[np.bool_], broken: Indices, is_writable: Sequence[bool]
) -> tuple[list[int], int]:
    """Pick the pages to fill: writable ones, the fullest first, then new ones."""
    counts = by_page.sum(axis=1)
    if len(broken) == 1 and by_page[broken[0], : counts[broken[0]]].all():
        return [int(broken[0])], 0  # a proper tail already: nothing moves, so it may stay shared
    num_targets = -(-int(counts[broken].sum()) // by_page.shape[1])
    writable = [int(number) for number in broken if is_writable[number]]
    writable.sort(key=lambda number: -int(counts[number]))
    targets = writable[:num_targets]
    return targets, num_targets - len(targets)


def _fill(
    tokens: Indices, targets: list[int], page_tokens: int, num_pages: int
) -> tuple[Indices, Indices, Indices]:
    """Lay the broken pages' tokens end to end, leaving in place those that already lie there."""
    start = np.full(num_pages, len(tokens))  # outside of what is filled, unless a target
    start[targets] = np.arange(len(targets)) * page_tokens
    place = start[tokens // page_tokens] + tokens % page_tokens
    stays = place < len(tokens)
    merged = np.full(len(tokens), -1, dtype=np.int64)
    merged[place[stays]] = tokens[stays]
    holes = np.flatnonzero(merged < 0)
    movers = tokens[~stays]
    merged[holes] = movers
    return movers, holes, merged
