"""Which of many sequences begin with the same pages, so that one look at those serves them all."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from service.llm.attention import Span
from service.llm.pages import Indices


def used_pages(span: Span) -> Indices:
    """Pages that hold what a span's last new token sees, in the sequence's order: `[pages]`."""
    pool = span.sequence.pool
    return np.array(span.sequence.pages[: pool.pages_for(span.num_keys)], dtype=np.int64)


def probable_forks(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Group sequences that probably share most pages.

    Forks of one session share its first page, which holds the header; those forked after the
    oldest units went differ from earlier ones in the second.
    """
    groups: dict[tuple[int, ...], list[Span]] = defaultdict(list)
    for span in spans:
        groups[tuple(span.sequence.pages[:2])].append(span)
    yield from groups.values()


def num_shared_pages(forks: Sequence[Span], tables: Sequence[Indices]) -> int:
    """Pages with which all these sequences begin, full in all of them.

    Args:
        forks: At least one.
        tables: The `used_pages` of each.
    """
    first = forks[0].sequence
    num_shared = min(span.sequence.length for span in forks) // first.pool.page_tokens
    for table in tables[1:]:
        differs = tables[0][:num_shared] != table[:num_shared]
        num_shared = int(differs.argmax()) if differs.any() else num_shared
    return num_shared
