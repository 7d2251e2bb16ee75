"""Paged attention by gathering pages and calling SDPA: any device, made for the CPU."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from service.llm.attention import Span, written_slots
from service.llm.pages import PagePool


@dataclass(frozen=True, slots=True)
class _Prefill:
    """Several new tokens of one sequence: one call.

    Attributes:
        rows: Their rows in the packed input.
        pages: `[pages]` int64.
        bias: `[new, keys]`, 0 or -inf; None where nothing is cached yet.
    """

    rows: slice
    pages: Tensor
    num_keys: int
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class _Decodes:
    """Single new tokens of B sequences of similar length, padded to M pages: one call.

    Attributes:
        rows: `[B]` int64.
        pages: `[B, M]` int64.
        bias: `[B, 1, 1, M * page_tokens]`, 0 or -inf.
    """

    rows: Tensor
    pages: Tensor
    bias: Tensor


class GatherAttention:
    """Gathers whole pages, since that is several times faster than gathering tokens."""

    def __init__(self, pool: PagePool, spans: Sequence[Span]) -> None:
        self._pool = pool
        self._slots = written_slots(pool, spans)
        self._prefills = [self._prefill(span) for span in spans if span.num_tokens > 1]
        groups: dict[int, list[Span]] = defaultdict(list)
        for span in spans:
            if span.num_tokens == 1:
                # a factor of two in length at most: a long context must not pad all short ones
                groups[pool.pages_for(span.num_keys).bit_length()].append(span)
        self._decodes = [self._decode(group) for group in groups.values()]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        keys, values = self._pool.keys[layer], self._pool.values[layer]
        keys.flatten(0, 1)[self._slots] = key.transpose(0, 1)
        values.flatten(0, 1)[self._slots] = value.transpose(0, 1)
        out = query.new_empty(query.shape[1], query.shape[0], query.shape[2])
        for part in self._prefills:
            out[part.rows] = _attend_prefill(part, query, keys, values, scale)
        for group in self._decodes:
            out[group.rows] = _attend_decodes(group, query, keys, values, scale)
        return out

    def _prefill(self, span: Span) -> _Prefill:
        pages = span.sequence.pages[: self._pool.pages_for(span.num_keys)]
        return _Prefill(
            rows=slice(span.start, span.stop),
            pages=torch.tensor(pages, device=self._pool.keys.device),
            num_keys=span.num_keys,
            bias=self._causal_bias(span) if span.sequence.length else None,
        )

    def _causal_bias(self, span: Span) -> Tensor:
        bias = self._pool.keys.new_full((span.num_tokens, span.num_keys), -torch.inf)
        return bias.triu_(span.sequence.length + 1)

    def _decode(self, spans: Sequence[Span]) -> _Decodes:
        device, size = self._pool.keys.device, self._pool.page_tokens
        width = max(self._pool.pages_for(span.num_keys) for span in spans)
        tables = [(s.sequence.pages + [0] * width)[:width] for s in spans]
        num_keys = torch.tensor([span.num_keys for span in spans], device=device)
        bias = self._pool.keys.new_zeros(len(spans), width * size)
        bias.masked_fill_(
            torch.arange(width * size, device=device) >= num_keys[:, None], -torch.inf
        )
        return _Decodes(
            rows=torch.tensor([span.start for span in spans], device=device),
            pages=torch.tensor(tables, device=device),
            bias=bias[:, None, None],
        )


def _gather(store: Tensor, pages: Tensor) -> Tensor:
    """Copy pages `[B, M]` out of `[pages, page_tokens, H, D]`: `[B, H, M * page_tokens, D]`."""
    rows = store.flatten(1).index_select(0, pages.flatten())
    return rows.view(len(pages), -1, *store.shape[2:]).transpose(1, 2)


def _attend_prefill(
    part: _Prefill, query: Tensor, keys: Tensor, values: Tensor, scale: float
) -> Tensor:
    """Returns `[new, Hq, D]`."""
    out = scaled_dot_product_attention(
        query[None, :, part.rows],
        _gather(keys, part.pages[None])[:, :, : part.num_keys],
        _gather(values, part.pages[None])[:, :, : part.num_keys],
        attn_mask=part.bias,
        is_causal=part.bias is None,
        scale=scale,
        enable_gqa=True,
    )
    return out[0].transpose(0, 1)


def _attend_decodes(
    group: _Decodes, query: Tensor, keys: Tensor, values: Tensor, scale: float
) -> Tensor:
    """Returns `[B, Hq, D]`."""
    # query heads that share a key head go as its queries, so that its keys are read once
    num_kv_heads = keys.shape[2]
    rows = query[:, group.rows].transpose(0, 1)
    out = scaled_dot_product_attention(
        rows.reshape(len(rows), num_kv_heads, -1, rows.shape[-1]),
        _gather(keys, group.pages),
        _gather(values, group.pages),
        attn_mask=group.bias,
        scale=scale,
    )
    return out.reshape(rows.shape)
