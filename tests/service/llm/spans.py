"""Sequences with random keys and values, side by side in one packed forward."""

from collections.abc import Sequence

import torch
from torch import Tensor

from service.llm.attention import Span
from service.llm.pages import PagePool
from service.llm.sequence import PagedSequence

Size = tuple[int, int]  # cached tokens, new ones


def fill(pool: PagePool, sequence: PagedSequence, num_tokens: int) -> None:
    """Cache random tokens."""
    sequence.reserve(num_tokens)
    slots = sequence.slots(sequence.length, sequence.length + num_tokens)
    for store in (pool.keys, pool.values):
        flat = store.flatten(1, 2)
        flat[:, slots] = torch.randn(len(flat), num_tokens, *flat.shape[2:]).to(store)
    sequence.advance(num_tokens)


def make_spans(pool: PagePool, sizes: Sequence[Size], forks: Sequence[int] = ()) -> list[Span]:
    """Lay out sequences, then forks of the first, each with so many tokens of its own and one new.

    Pages are taken in turns, so that no sequence has neighbouring ones.
    """
    sequences = [PagedSequence(pool) for _ in sizes]
    left = {number: cached for number, (cached, _) in enumerate(sizes) if cached}
    while left:
        for number in list(left):
            part = min(left[number], pool.page_tokens)
            fill(pool, sequences[number], part)
            left[number] -= part
            if not left[number]:
                del left[number]
    new = [num_new for _, num_new in sizes] + [1] * len(forks)
    for num_own in forks:
        sequences.append(sequences[0].fork())
        fill(pool, sequences[-1], num_own)
    spans: list[Span] = []
    for sequence, num_new in zip(sequences, new, strict=True):
        sequence.reserve(num_new)
        spans.append(Span(sequence, spans[-1].stop if spans else 0, num_new))
    return spans


def make_inputs(pool: PagePool, spans: Sequence[Span], num_heads: int) -> tuple[Tensor, ...]:
    """Query, key and value of a forward: `[heads, rows, head_dim]`."""
    num_kv_heads, head_dim = pool.keys.shape[3:]
    return tuple(
        torch.randn(heads, spans[-1].stop, head_dim).to(pool.keys)
        for heads in (num_heads, num_kv_heads, num_kv_heads)
    )


def plain_attention(
    pool: PagePool, spans: Sequence[Span], layer: int, query: Tensor, scale: float
) -> Tensor:
    """Softmax over what each new token sees, in float64: `[rows, heads, head_dim]`.

    The new keys and values are in their slots already.
    """
    num_heads, num_rows, head_dim = query.shape
    out = torch.empty(num_rows, num_heads, head_dim, dtype=torch.float64)
    for span in spans:
        slots = span.sequence.slots(0, span.num_keys)
        keys, values = (
            store[layer].flatten(0, 1)[slots].cpu().double().transpose(0, 1)
            for store in (pool.keys, pool.values)
        )
        group = num_heads // len(keys)
        for row in range(span.start, span.stop):
            num_seen = span.sequence.length + row - span.start + 1
            heads = query[:, row].cpu().double().view(len(keys), group, head_dim)
            scores = heads @ keys[:, :num_seen].transpose(1, 2) * scale
            mixed = scores.softmax(-1) @ values[:, :num_seen]
            out[row] = mixed.reshape(num_heads, head_dim)
    return out
