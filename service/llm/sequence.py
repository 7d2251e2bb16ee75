"""The cached tokens of one session or one fork of it. Knows nothing about what they mean."""

import numpy as np
from numpy.typing import NDArray

from service.llm.compaction import plan_compaction
from service.llm.pages import Indices, PagePool


class PagedSequence:
    """A list of pages and a length; every page in use but the last is full.

    The order of tokens carries no meaning: attention to cached keys does not depend on it, since
    each key carries its own rotary position. A fork shares the pages of its origin; whoever writes
    into a shared page copies it first, so that neither side ever sees the other's tokens.

    Attributes:
        pages: Pages in use, then pages reserved and still empty.
        length: Tokens cached.
    """

    def __init__(self, pool: PagePool) -> None:
        self.pool = pool
        self.pages: list[int] = []
        self.length = 0

    @property
    def capacity(self) -> int:
        """Tokens that fit into the pages held."""
        return len(self.pages) * self.pool.page_tokens

    @property
    def num_used_pages(self) -> int:
        return self.pool.pages_for(self.length)

    def reserve(self, num_tokens: int) -> None:
        """Make sure that `num_tokens` more can be written, into pages that nobody shares.

        Raises:
            PoolExhausted: Nothing has changed.
        """
        missing = max(self.pool.pages_for(self.length + num_tokens) - len(self.pages), 0)
        tail, offset = divmod(self.length, self.pool.page_tokens)
        writes_into_shared = num_tokens > 0 and offset > 0 and self.pool.is_shared(self.pages[tail])
        new = self.pool.take(missing + writes_into_shared)
        if writes_into_shared:
            self._replace([tail], [new.pop()])
        self.pages += new

    def advance(self, num_tokens: int) -> None:
        """Count tokens that were written into reserved slots."""
        self.length += num_tokens
        assert self.length <= self.capacity, "tokens written without a reservation"

    def truncate(self, length: int, *, scrub: bool = False) -> None:
        """Forget the newest tokens, and give back all pages that `length` tokens do not need.

        Args:
            length: Tokens that stay.
            scrub: Zero what is forgotten, where nobody shares it: it may hold NaN.
        """
        if scrub:
            tokens = np.arange(length, self.capacity)
            is_shared = np.array([self.pool.is_shared(page) for page in self.pages], dtype=np.bool_)
            own = tokens[~is_shared[tokens // self.pool.page_tokens]]
            self.pool.scrub(self._slots_of(own, self.pages))
        self.length = length
        used = self.num_used_pages
        self.pool.release(self.pages[used:])
        del self.pages[used:]

    def slots(self, start: int, stop: int) -> Indices:
        """Return the pool slots of tokens `start` to `stop` - 1, reserved ones included."""
        return self._slots_of(np.arange(start, stop), self.pages)

    def fork(self, length: int | None = None) -> "PagedSequence":
        """Return a sequence with the same first `length` tokens (all by default); takes no page."""
        child = PagedSequence(self.pool)
        child.length = self.length if length is None else length
        child.pages = self.pages[: child.num_used_pages]
        self.pool.share(child.pages)
        return child

    def own(self) -> None:
        """Copy every shared page in use, so that cached tokens may be changed in place.

        Raises:
            PoolExhausted: Nothing has changed.
        """
        used = range(self.num_used_pages)
        shared = [number for number in used if self.pool.is_shared(self.pages[number])]
        self._replace(shared, self.pool.take(len(shared)))

    def retain(self, keep: NDArray[np.bool_]) -> Indices:
        """Remove tokens; emptied pages are given back, what is left of broken ones is merged.

        Costs copies of no more tokens than the broken pages hold. Shared pages are never written.

        Args:
            keep: `[length]`, False for the tokens to remove.

        Returns:
            `[new length]`: the former index of each token that is left, in its new order.

        Raises:
            PoolExhausted: Merging needs a page, since the broken ones are shared; nothing changed.
        """
        assert len(keep) == self.length, "one mark per token"
        used = self.num_used_pages
        is_writable = [not self.pool.is_shared(page) for page in self.pages[:used]]
        plan = plan_compaction(keep, self.pool.page_tokens, is_writable)
        fresh = self.pool.take(plan.num_fresh)
        targets = [self.pages[number] for number in plan.targets] + fresh
        self.pool.copy(self._slots_of(plan.movers, self.pages), self._slots_of(plan.holes, targets))
        stays = {*plan.whole, *plan.targets}
        gone = [self.pages[number] for number in range(used) if number not in stays]
        whole = [self.pages[number] for number in plan.whole]
        self.pages = [*whole, *targets, *self.pages[used:]]
        self.length = len(plan.order)
        self.pool.release(gone)
        return plan.order

    def release(self, *, scrub: bool = False) -> None:
        """Give back every page; the sequence is empty afterwards."""
        self.truncate(0, scrub=scrub)

    def _slots_of(self, tokens: Indices, pages: list[int]) -> Indices:
        number, offset = np.divmod(tokens, self.pool.page_tokens)
        return np.asarray(pages, dtype=np.int64)[number] * self.pool.page_tokens + offset

    def _replace(self, numbers: list[int], new_pages: list[int]) -> None:
        """Put copies in the place of pages, named by their number in this sequence."""
        old_pages = [self.pages[number] for number in numbers]
        tokens = np.arange(len(numbers) * self.pool.page_tokens)
        self.pool.copy(self._slots_of(tokens, old_pages), self._slots_of(tokens, new_pages))
        for number, page in zip(numbers, new_pages, strict=True):
            self.pages[number] = page
        self.pool.release(old_pages)
