"""One layer's attention over pages against plain softmax over the keys of each token."""

import numpy as np
import pytest
import torch
from torch import Tensor

from service.llm.attention import Span
from service.llm.gather_attention import GatherAttention
from service.llm.pages import PagePool
from service.llm.sequence import PagedSequence
from tests.service.llm.thinker import build_pool

NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, LAYER = 4, 2, 16, 1
SCALE = 0.3


def filled(pool: PagePool, length: int, new: int) -> PagedSequence:
    """A sequence with random cached tokens and room for new ones."""
    sequence = PagedSequence(pool)
    sequence.reserve(length + new)
    slots = sequence.slots(0, length)
    for store in (pool.keys, pool.values):
        store.flatten(1, 2)[:, slots] = torch.randn(3, length, NUM_KV_HEADS, HEAD_DIM)
    sequence.advance(length)
    return sequence


def reference(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """`[Hq, D]`, `[n, Hkv, D]` twice -> `[Hq, D]`, head by head."""
    rows = []
    for head in range(NUM_HEADS):
        kv_head = head * NUM_KV_HEADS // NUM_HEADS
        scores = keys[:, kv_head] @ query[head] * SCALE
        rows.append(scores.softmax(0) @ values[:, kv_head])
    return torch.stack(rows)


@pytest.mark.parametrize(
    "sizes",
    [
        [(0, 5)],
        [(21, 1)],
        [(21, 6)],
        [(3, 1), (40, 1), (16, 1), (15, 1), (300, 1)],
        [(0, 1), (9, 4), (31, 1), (0, 17), (64, 2)],
    ],
    ids=str,
)
def test_every_token_sees_its_sequence_up_to_itself(sizes: list[tuple[int, int]]) -> None:
    torch.manual_seed(0)
    pool = build_pool()
    total = sum(new for _, new in sizes)
    query = torch.randn(NUM_HEADS, total, HEAD_DIM)
    key, value = torch.randn(2, NUM_KV_HEADS, total, HEAD_DIM).unbind(0)
    sequences = [filled(pool, length, new) for length, new in sizes]
    starts = np.cumsum([0, *(new for _, new in sizes)]).tolist()
    spans = [Span(sequences[n], starts[n], new) for n, (_, new) in enumerate(sizes)]

    out = GatherAttention(pool, spans).attend(LAYER, query, key, value, SCALE)

    for span in spans:
        slots = span.sequence.slots(0, span.num_keys)
        keys, values = (s[LAYER].flatten(0, 1)[slots] for s in (pool.keys, pool.values))
        for row in range(span.start, span.stop):
            seen = span.sequence.length + row - span.start + 1
            expected = reference(query[:, row], keys[:seen], values[:seen])
            torch.testing.assert_close(out[row], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("own", [[1, 1, 1, 1], [3, 40, 17, 1], [200, 1, 1, 1], [90] * 8], ids=str)
@pytest.mark.parametrize("length", [5, 16, 100])
def test_forks_of_one_sequence_see_what_they_share_and_their_own(
    length: int, own: list[int]
) -> None:
    torch.manual_seed(0)
    pool = build_pool(num_pages=100)
    origin = filled(pool, length, 0)
    spans = []
    for row, num_own in enumerate(own):
        fork = origin.fork()
        fork.reserve(num_own)
        slots = fork.slots(length, length + num_own - 1)
        for store in (pool.keys, pool.values):
            store.flatten(1, 2)[:, slots] = torch.randn(3, len(slots), NUM_KV_HEADS, HEAD_DIM)
        fork.advance(num_own - 1)
        spans.append(Span(fork, row, 1))
    query = torch.randn(NUM_HEADS, len(own), HEAD_DIM)
    key, value = torch.randn(2, NUM_KV_HEADS, len(own), HEAD_DIM).unbind(0)

    out = GatherAttention(pool, spans).attend(LAYER, query, key, value, SCALE)

    for span in spans:
        slots = span.sequence.slots(0, span.num_keys)
        keys, values = (s[LAYER].flatten(0, 1)[slots] for s in (pool.keys, pool.values))
        expected = reference(query[:, span.start], keys, values)
        torch.testing.assert_close(out[span.start], expected, atol=1e-5, rtol=0)


def test_new_keys_and_values_are_written_to_their_layer_only() -> None:
    pool = build_pool()
    sequence = filled(pool, 5, 3)
    before = pool.keys.clone()
    key, value = torch.randn(2, NUM_KV_HEADS, 3, HEAD_DIM).unbind(0)

    query = torch.randn(NUM_HEADS, 3, HEAD_DIM)
    GatherAttention(pool, [Span(sequence, 0, 3)]).attend(LAYER, query, key, value, SCALE)

    slots = sequence.slots(5, 8)
    assert torch.equal(pool.keys[LAYER].flatten(0, 1)[slots], key.transpose(0, 1))
    assert torch.equal(pool.values[LAYER].flatten(0, 1)[slots], value.transpose(0, 1))
    pool.keys[LAYER].flatten(0, 1)[slots] = before[LAYER].flatten(0, 1)[slots]
    assert torch.equal(pool.keys, before)


def test_order_of_cached_tokens_does_not_matter() -> None:
    torch.manual_seed(0)
    pool = build_pool(page_tokens=4)
    query = torch.randn(NUM_HEADS, 2, HEAD_DIM)
    key, value = torch.randn(2, NUM_KV_HEADS, 2, HEAD_DIM).unbind(0)
    sequence = filled(pool, 14, 2)
    rest = sequence.slots(5, 14)
    cached = [store[LAYER].flatten(0, 1)[rest].clone() for store in (pool.keys, pool.values)]
    keep = np.arange(14) >= 5

    sequence.retain(keep)
    sequence.reserve(2)
    out = GatherAttention(pool, [Span(sequence, 0, 2)]).attend(LAYER, query, key, value, SCALE)

    keys, values = (
        torch.cat([old, new.transpose(0, 1)]) for old, new in zip(cached, (key, value), strict=True)
    )
    torch.testing.assert_close(out[1], reference(query[:, 1], keys, values), atol=1e-5, rtol=0)
