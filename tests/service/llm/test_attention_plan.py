"""Plans read back as a kernel would: which keys each row meets, and where its result goes."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.llm.attention_plan import (
    MIN_PIECE,
    PIECE_STEP,
    AttentionPlan,
    decode_size,
    piece_keys,
    plan_attention,
)
from service.llm.pages import PagePool
from tests.service.llm.spans import Size, make_spans

SIZES = st.lists(
    st.tuples(st.integers(0, 700), st.sampled_from([1, 1, 2, 17, 90])), min_size=1, max_size=5
)


def make_pool(page_tokens: int) -> PagePool:
    num_pages = 40 + 8000 // page_tokens
    return PagePool(
        num_layers=1, num_kv_heads=1, head_dim=1, num_pages=num_pages, page_tokens=page_tokens
    )


def met_slots(plan: AttentionPlan, page_tokens: int) -> dict[int, list[int]]:
    """The slots of the keys that each row meets, in the order of its entries."""
    met: dict[int, list[int]] = defaultdict(list)
    for first, count, table, begin, stop in plan.tiles.tolist():
        for row, seen, _ in plan.entries[first : first + count].tolist():
            for key in range(begin, min(stop, seen)):
                page = int(plan.pages[table + key // page_tokens])
                met[row].append(page * page_tokens + key % page_tokens)
    return met


@given(
    sizes=SIZES,
    forks=st.lists(st.integers(0, 40), max_size=12),
    page_tokens=st.integers(1, 40),
    group=st.sampled_from([1, 3, 7]),
    num_programs=st.sampled_from([1, 8, 300]),
)
@settings(max_examples=60, deadline=None)
def test_every_row_meets_each_key_it_sees_once(
    sizes: list[Size], forks: list[int], page_tokens: int, group: int, num_programs: int
) -> None:
    spans = make_spans(make_pool(page_tokens), sizes, forks)

    plan = plan_attention(spans, num_heads=2 * group, num_kv_heads=2, num_programs=num_programs)

    met = met_slots(plan, page_tokens)
    for span in spans:
        for row in range(span.start, span.stop):
            num_seen = span.sequence.length + row - span.start + 1
            assert met[row] == span.sequence.slots(0, num_seen).tolist()
    written = [span.sequence.slots(span.sequence.length, span.num_keys) for span in spans]
    assert plan.slots.tolist() == [slot for slots in written for slot in slots]


@given(sizes=SIZES, forks=st.lists(st.integers(0, 40), max_size=12))
@settings(max_examples=30, deadline=None)
def test_parts_of_a_row_are_its_own_and_merged(sizes: list[Size], forks: list[int]) -> None:
    spans = make_spans(make_pool(16), sizes, forks)

    plan = plan_attention(spans, num_heads=4, num_kv_heads=2, num_programs=300)

    parts: dict[int, list[int]] = defaultdict(list)
    for row, _, part in plan.entries.tolist():
        parts[row].append(part)
    merged = {row: list(range(first, first + n)) for row, first, n in plan.merges.tolist()}
    assert {row: numbers for row, numbers in parts.items() if numbers != [-1]} == merged
    assert sorted(part for numbers in merged.values() for part in numbers) == list(
        range(plan.num_parts)
    )


@given(
    sizes=st.lists(st.tuples(st.integers(0, 900), st.just(1)), min_size=1, max_size=9),
    forks=st.lists(st.integers(0, 40), max_size=12),
    group=st.sampled_from([1, 3, 7]),
    num_programs=st.sampled_from([1, 8, 300]),
)
@settings(max_examples=60, deadline=None)
def test_every_plan_for_single_tokens_fits_into_what_is_foreseen(
    sizes: list[Size], forks: list[int], group: int, num_programs: int
) -> None:
    pool = make_pool(16)
    spans = make_spans(pool, sizes, forks)

    plan = plan_attention(spans, num_heads=2 * group, num_kv_heads=2, num_programs=num_programs)

    room = decode_size(
        len(spans),
        tile_lines=plan.tile_lines,
        group=group,
        num_programs=-(-num_programs // 2),
        num_pages=pool.num_pages,
    )
    assert plan.size.fits_into(room)
    assert not plan.size.fits_into(replace(room, tiles=len(plan.tiles) - 1))
    assert not plan.size.fits_into(replace(room, tile_lines=2 * plan.tile_lines))


def test_no_tile_is_wider_than_its_lines() -> None:
    spans = make_spans(make_pool(16), [(0, 90), (300, 1), (5, 1)], [1] * 9)

    plan = plan_attention(spans, num_heads=14, num_kv_heads=2, num_programs=1)

    assert plan.tile_lines == 64
    assert (plan.tiles[:, 1] * 7 <= 64).all()


@pytest.mark.parametrize(("group", "lines"), [(1, 16), (16, 16), (17, 64), (100, 128)])
def test_single_tokens_take_the_smallest_tile(group: int, lines: int) -> None:
    spans = make_spans(make_pool(16), [(30, 1), (5, 1)])

    plan = plan_attention(spans, num_heads=group, num_kv_heads=1, num_programs=1)

    assert plan.tile_lines == lines


def test_long_context_is_split_until_the_device_is_busy() -> None:
    spans = make_spans(make_pool(16), [(4000, 1), (90, 1)])

    def num_tiles(num_programs: int) -> int:
        plan = plan_attention(spans, num_heads=8, num_kv_heads=4, num_programs=num_programs)
        return len(plan.tiles)

    assert num_tiles(1) == 2
    assert 10 <= num_tiles(40) <= 12
    assert num_tiles(10_000) == -(-4001 // MIN_PIECE) + 1


def test_many_prefills_are_not_split() -> None:
    spans = make_spans(make_pool(16), [(0, 600)] * 4)

    plan = plan_attention(spans, num_heads=8, num_kv_heads=2, num_programs=64)

    assert plan.num_parts == 0


def test_forks_read_what_they_share_once_if_it_is_much() -> None:
    def num_tiles(cached: int) -> int:
        spans = make_spans(make_pool(16), [(cached, 1)], [20] * 3)
        return len(plan_attention(spans, num_heads=2, num_kv_heads=1, num_programs=1).tiles)

    assert num_tiles(MIN_PIECE) == 4 + 1
    assert num_tiles(MIN_PIECE - 1) == 4


@given(num_keys=st.integers(1, 10**7), num_programs=st.integers(1, 1000))
def test_pieces_are_even_and_not_too_small(num_keys: int, num_programs: int) -> None:
    size = piece_keys(num_keys, num_programs)

    assert size % PIECE_STEP == 0
    assert size >= MIN_PIECE
    assert size * num_programs >= num_keys
