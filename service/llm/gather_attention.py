"""Paged attention by gathering pages and calling SDPA: any device, made for the CPU.

Gathering dominates long contexts, so whole pages are gathered, several times faster than tokens,
and pages that questions about one session share are gathered once for all of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from service.llm.attention import Span, written_slots
from service.llm.forks import num_shared_pages, probable_forks, used_pages
from service.llm.pages import PagePool

MAX_SPREAD = 4  # forks that look at this many times the pages of one are better looked at apart


@dataclass(frozen=True, slots=True)
class _Together:
    """Queries that look at the same pages: new tokens of one sequence, or single ones of its forks.

    Attributes:
        rows: Of the R queries in the packed input: a slice, or `[R]` int64.
        pages: `[1, pages]` int64.
        num_keys: How many tokens of those pages there are to look at.
        bias: `[R, num_keys]`, 0 for a key that a query sees, else -inf; None for plain causal.
    """

    rows: slice | Tensor
    pages: Tensor
    num_keys: int
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class _Apart:
    """Single queries of B sequences, each of which looks at its own pages, padded to M.

    Attributes:
        rows: `[B]` int64.
        pages: `[B, M]` int64.
        bias: `[B, 1, 1, M * page_tokens]`, 0 or -inf.
    """

    rows: Tensor
    pages: Tensor
    bias: Tensor


class GatherAttention:
    """Attention of one forward: a few SDPA calls per layer."""

    def __init__(self, pool: PagePool, spans: Sequence[Span]) -> None:
        self._pool = pool
        self._slots = written_slots(pool, spans)
        self._together: list[_Together] = []
        self._apart: list[_Apart] = []
        for span in spans:
            if span.num_tokens > 1:
                self._together.append(self._prefill(span))
        self._plan_decodes([span for span in spans if span.num_tokens == 1])

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        keys, values = self._pool.keys[layer], self._pool.values[layer]
        keys.flatten(0, 1)[self._slots] = key.transpose(0, 1)
        values.flatten(0, 1)[self._slots] = value.transpose(0, 1)
        out = query.new_empty(query.shape[1], query.shape[0], query.shape[2])
        for together in self._together:
            out[together.rows] = _attend_together(together, query, keys, values, scale)
        for apart in self._apart:
            out[apart.rows] = _attend_apart(apart, query, keys, values, scale)
        return out

    def _prefill(self, span: Span) -> _Together:
        bias = None
        if span.sequence.length:
            bias = self._pool.keys.new_full((span.num_tokens, span.num_keys), -torch.inf)
            bias.triu_(span.sequence.length + 1)
        pages = self._pool.on_device(used_pages(span)[None])
        return _Together(slice(span.start, span.stop), pages, span.num_keys, bias)

    def _plan_decodes(self, spans: Sequence[Span]) -> None:
        """Put together what shares pages; pad the rest, by similar length."""
        apart: dict[int, list[Span]] = defaultdict(list)
        for forks in probable_forks(spans):
            tables = [used_pages(span) for span in forks]
            num_shared = num_shared_pages(forks, tables)
            num_laid_out = num_shared + sum(len(table) - num_shared for table in tables)
            if len(forks) > 1 and num_laid_out <= MAX_SPREAD * max(map(len, tables)):
                self._together.append(self._share(forks, tables, num_shared))
                continue
            for span, table in zip(forks, tables, strict=True):
                # a factor of two in length at most: one long context must not pad all short ones
                apart[len(table).bit_length()].append(span)
        self._apart = [self._pad(group) for group in apart.values()]

    def _share(
        self, forks: Sequence[Span], tables: Sequence[NDArray[np.int64]], num_shared: int
    ) -> _Together:
        """Lay out the shared pages, then everyone's own, of which each fork sees its own."""
        size = self._pool.page_tokens
        own = [table[num_shared:] for table in tables]
        pages = np.concatenate([tables[0][:num_shared], *own])
        is_seen = np.zeros((len(forks), len(pages) * size), dtype=np.bool_)
        is_seen[:, : num_shared * size] = True
        start = num_shared * size
        for row, span in enumerate(forks):
            is_seen[row, start : start + span.num_keys - num_shared * size] = True
            start += len(own[row]) * size
        rows = self._pool.on_device(np.array([span.start for span in forks]))
        return _Together(
            rows, self._pool.on_device(pages[None]), is_seen.shape[1], self._bias(is_seen)
        )

    def _pad(self, spans: Sequence[Span]) -> _Apart:
        tables = [used_pages(span) for span in spans]
        pages = np.zeros((len(spans), max(map(len, tables))), dtype=np.int64)
        for row, table in enumerate(tables):
            pages[row, : len(table)] = table
        num_keys = np.array([span.num_keys for span in spans])
        is_seen = np.arange(pages.shape[1] * self._pool.page_tokens) < num_keys[:, None]
        rows = self._pool.on_device(np.array([span.start for span in spans]))
        return _Apart(rows, self._pool.on_device(pages), self._bias(is_seen)[:, None, None])

    def _bias(self, is_seen: NDArray[np.bool_]) -> Tensor:
        bias = self._pool.keys.new_zeros(is_seen.shape)
        is_hidden = torch.from_numpy(~is_seen).to(bias.device)
        return bias.masked_fill_(is_hidden, -torch.inf)


def _gather(store: Tensor, pages: Tensor) -> Tensor:
    """Copy pages `[N, M]` out of `[pages, page_tokens, H, D]`: `[N, H, M * page_tokens, D]`."""
    rows = store.flatten(1).index_select(0, pages.flatten())
    return rows.view(len(pages), -1, *store.shape[2:]).transpose(1, 2)


def _attend_together(
    part: _Together, query: Tensor, keys: Tensor, values: Tensor, scale: float
) -> Tensor:
    """Returns `[R, Hq, D]`."""
    out = scaled_dot_product_attention(
        query[None, :, part.rows],
        _gather(keys, part.pages)[:, :, : part.num_keys],
        _gather(values, part.pages)[:, :, : part.num_keys],
        attn_mask=part.bias,
        is_causal=part.bias is None,
        scale=scale,
        enable_gqa=True,
    )
    return out[0].transpose(0, 1)


def _attend_apart(
    part: _Apart, query: Tensor, keys: Tensor, values: Tensor, scale: float
) -> Tensor:
    """Returns `[B, Hq, D]`."""
    # query heads that share a key head go as its queries, so that its keys are read once
    num_kv_heads = keys.shape[2]
    rows = query[:, part.rows].transpose(0, 1)
    out = scaled_dot_product_attention(
        rows.reshape(len(rows), num_kv_heads, -1, rows.shape[-1]),
        _gather(keys, part.pages),
        _gather(values, part.pages),
        attn_mask=part.bias,
        scale=scale,
    )
    return out.reshape(rows.shape)
