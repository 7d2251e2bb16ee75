"""Plans move few tokens, lose none, and write only where nobody else reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.llm.compaction import plan_compaction


def keep_all_but(length: int, *removed: range) -> np.ndarray:
    keep = np.ones(length, dtype=np.bool_)
    for span in removed:
        keep[span.start : span.stop] = False
    return keep


def test_nothing_removed_moves_nothing() -> None:
    plan = plan_compaction(keep_all_but(10), 4, [True, True, True])

    assert (plan.whole, plan.targets, plan.num_fresh) == ((0, 1), (2,), 0)
    assert len(plan.movers) == 0
    assert plan.order.tolist() == list(range(10))


def test_whole_pages_go_without_a_copy() -> None:
    plan = plan_compaction(keep_all_but(14, range(4, 8)), 4, [True] * 4)

    assert (plan.whole, plan.targets) == ((0, 2), (3,))
    assert len(plan.movers) == 0
    assert plan.order.tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 12, 13]


def test_broken_pages_are_merged_into_the_fullest() -> None:
    plan = plan_compaction(keep_all_but(12, range(3, 10)), 4, [True] * 3)

    assert (plan.whole, plan.targets, plan.num_fresh) == ((), (0, 2), 0)
    assert plan.movers.tolist() == [10, 11]
    assert plan.holes.tolist() == [3, 4]
    assert plan.order.tolist() == [0, 1, 2, 10, 11]


def test_shared_pages_are_never_filled() -> None:
    plan = plan_compaction(keep_all_but(12, range(3, 10)), 4, [False, True, False])

    assert (plan.targets, plan.num_fresh) == ((), 2)
    assert plan.movers.tolist() == [0, 1, 2, 10, 11]


def test_shared_tail_stays_shared_when_it_needs_no_change() -> None:
    plan = plan_compaction(keep_all_but(10, range(4)), 4, [False] * 3)

    assert (plan.whole, plan.targets, plan.num_fresh) == ((1,), (2,), 0)


def test_everything_removed_leaves_nothing() -> None:
    plan = plan_compaction(keep_all_but(10, range(10)), 4, [True] * 3)

    assert (plan.whole, plan.targets, plan.num_fresh) == ((), (), 0)
    assert len(plan.order) == 0


@pytest.mark.parametrize("page_tokens", [1, 3, 16])
@given(st.data())
def test_plans_are_sound(page_tokens: int, data: st.DataObject) -> None:
    keep = np.array(data.draw(st.lists(st.booleans(), max_size=70)), dtype=np.bool_)
    num_pages = -(-len(keep) // page_tokens)
    is_writable = data.draw(st.lists(st.booleans(), min_size=num_pages, max_size=num_pages))

    plan = plan_compaction(keep, page_tokens, is_writable)

    assert sorted(plan.order.tolist()) == np.flatnonzero(keep).tolist()
    num_left = len(plan.whole) + len(plan.targets) + plan.num_fresh
    assert num_left == -(-int(keep.sum()) // page_tokens)
    targets = (plan.holes // page_tokens).tolist()
    written = [plan.targets[number] for number in targets if number < len(plan.targets)]
    assert all(is_writable[number] for number in written)
    # laid end to end, movers land in holes and all others stay where they are
    pages = [*plan.whole, *plan.targets, *[None] * plan.num_fresh]
    places = (plan.holes + len(plan.whole) * page_tokens).tolist()
    moved = dict(zip(places, plan.movers.tolist(), strict=True))
    for place, token in enumerate(plan.order.tolist()):
        page, offset = pages[place // page_tokens], place % page_tokens
        in_place = None if page is None else page * page_tokens + offset
        assert token == moved.get(place, in_place)
