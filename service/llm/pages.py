"""Keys and values of all sessions, lent out in ref-counted pages. Knows nothing about sequences."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]


class PoolExhausted(Exception):
    """Too few free pages. Whatever raises it has changed nothing."""


class PagePool:
    """Owns the memory of all keys and values.

    A slot, `page * page_tokens + offset`, holds one token, in all layers.

    Attributes:
        keys: `[layers, pages, page_tokens, kv_heads, head_dim]`.
        values: Likewise.
        page_tokens: Tokens per page.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_kv_heads: int,
        head_dim: int,
        num_pages: int,
        page_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (num_layers, num_pages, page_tokens, num_kv_heads, head_dim)
        # zeros, not empty: masked slots are multiplied by zero, which must not meet a NaN
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.page_tokens = page_tokens
        self._refs = [0] * num_pages
        self._free = list(range(num_pages))[::-1]

    @property
    def num_pages(self) -> int:
        return len(self._refs)

    @property
    def num_free(self) -> int:
        return len(self._free)

    def pages_for(self, num_tokens: int) -> int:
        """Pages that `num_tokens` tokens fill, the last one perhaps in part."""
        return -(-num_tokens // self.page_tokens)

    def is_shared(self, page: int) -> bool:
        """Whether more than one sequence holds the page: nobody may write to it."""
        return self._refs[page] > 1

    def take(self, num_pages: int) -> list[int]:
        """Lend pages, all or none.

        Raises:
            PoolExhausted: Nothing has changed.
        """
        if num_pages > len(self._free):
            raise PoolExhausted(f"{num_pages} pages wanted, {len(self._free)} free")
        pages = [self._free.pop() for _ in range(num_pages)]
        for page in pages:
            self._refs[page] = 1
        return pages

    def share(self, pages: Iterable[int]) -> None:
        """Count one more holder of each page."""
        for page in pages:
            assert self._refs[page] > 0, f"page {page} is shared but nobody holds it"
            self._refs[page] += 1

    def release(self, pages: Iterable[int]) -> None:
        """Count one holder less of each page; a page without holders is free."""
        for page in pages:
            assert self._refs[page] > 0, f"page {page} is released but nobody holds it"
            self._refs[page] -= 1
            if self._refs[page] == 0:
                self._free.append(page)

    def copy(self, sources: Indices, targets: Indices) -> None:
        """Copy tokens from slots to slots; all are read before any is written."""
        if len(sources) == 0:
            return
        read, write = self.on_device(sources), self.on_device(targets)
        for store in (self.keys, self.values):
            flat = store.flatten(1, 2)
            flat[:, write] = flat[:, read]

    def scrub(self, slots: Indices) -> None:
        """Zero slots that a failed forward may have filled with NaN."""
        for store in (self.keys, self.values):
            store.flatten(1, 2)[:, self.on_device(slots)] = 0

    def on_device(self, indices: Indices) -> Tensor:
        """Return indices as an int64 tensor beside the pages."""
        return torch.from_numpy(indices).to(self.keys.device, non_blocking=True)

    def check_integrity(self, holders: Iterable[Sequence[int]]) -> None:
        """Verify that each page is free or held, as often as counted.

        Args:
            holders: The pages of every sequence there is.

        Raises:
            AssertionError: If a page leaked, is held while free, or is counted wrongly.
        """
        held: Counter[int] = Counter()
        for pages in holders:
            assert len(set(pages)) == len(pages), "a page twice in one sequence"
            held.update(pages)
        assert self._refs == [held[page] for page in range(self.num_pages)], "wrong holder count"
        free = [page for page, refs in enumerate(self._refs) if refs == 0]
        assert sorted(self._free) == free, "the free list and the holder counts differ"
