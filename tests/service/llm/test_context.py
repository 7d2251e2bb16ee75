"""What stays in context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.tokens import TokenCounts
from service.errors import MomentNotHeld
from service.llm.context import ContextRules, ContextWindow, Horizon, spans
from service.llm.policy import Fifo, Policy, Progressive
from service.llm.unit import Unit
from tests.service.llm.thinker import build_chunk
from tests.service.llm.units import IDS_PER_S, build_rules, build_unit

POLICIES = [Fifo(), Fifo(3), Progressive(0.5), Progressive(0.3, (1.0, 0.4, 0.1))]
SIZES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), min_size=1, max_size=40)


def feed(window: ContextWindow, *units: Unit) -> None:
    for each in units:
        window.hold(window.after(each))


def held(window: ContextWindow) -> list[int]:
    return [each.index for each in window.units]


def test_units_within_the_budget_stay() -> None:
    window = ContextWindow(build_rules(30))

    feed(window, *map(build_unit, range(3)))

    assert held(window) == [0, 1, 2]
    assert window.num_tokens == 30


def test_oldest_units_go_first_and_whole() -> None:
    window = ContextWindow(build_rules(30))

    feed(window, *map(build_unit, range(3)), build_unit(3, 10, 5))

    assert held(window) == [2, 3]


def test_deciding_changes_nothing() -> None:
    window = ContextWindow(build_rules(10))
    feed(window, build_unit(0))

    assert window.after(build_unit(1)) == window.after(build_unit(1)) == (build_unit(1),)
    assert held(window) == [0]


def test_unit_over_the_budget_can_never_come() -> None:
    window = ContextWindow(build_rules(10))

    with pytest.raises(ValueError, match="but the budget is 10"):
        window.after(build_unit(0, 7, 4))


@pytest.mark.parametrize("index", [3, 2])
def test_unit_must_be_newer_than_all_held(index: int) -> None:
    window = ContextWindow(build_rules(30))
    feed(window, build_unit(3))

    with pytest.raises(ValueError, match=f"index {index} after 3"):
        window.after(build_unit(index))


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@given(sizes=SIZES, max_tokens=st.integers(60, 300), gaps=st.lists(st.integers(1, 9), max_size=40))
def test_state_is_a_function_of_what_came(
    policy: Policy, sizes: list[tuple[int, int]], max_tokens: int, gaps: list[int]
) -> None:
    rules = build_rules(max_tokens, max_positions=2000, policy=policy)
    window = ContextWindow(rules)
    units, index = [], 0
    for number, size in enumerate(sizes):
        unit = build_unit(index, *size)
        index += gaps[number] if number < len(gaps) else 1
        if not rules.admits(unit):
            continue
        units.append(unit)
        before = {each.index: each for each in window.units}
        feed(window, unit)
        assert window.num_tokens <= max_tokens
        for each in window.units[:-1]:
            assert each.held.video <= before[each.index].held.video
            assert each.held.audio <= before[each.index].held.audio

    at_once = rules.held(units)

    assert [each for each in window.units if each.num_tokens] == [
        each for each in at_once if each.num_tokens
    ]
    assert list(window.units) in (at_once, [*at_once, *window.units[-1:]])


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@given(sizes=SIZES, cut=st.integers(0, 40))
def test_end_of_the_stream_and_its_sinks_give_the_same_state(
    policy: Policy, sizes: list[tuple[int, int]], cut: int
) -> None:
    rules = build_rules(200, max_positions=2000, policy=policy)
    every = [build_unit(index, *size) for index, size in enumerate(sizes)]
    units = [unit for unit in every if rules.admits(unit)]
    sinks = [unit for unit in units if rules.is_sink(unit.index)]
    tail = [unit for unit in units if unit.index >= max(cut, policy.num_sinks)]
    if not rules.is_full(tail, before=max(cut, policy.num_sinks)):
        return
    whole, partial = ContextWindow(rules), ContextWindow(rules)

    feed(whole, *units)
    feed(partial, *sinks, *tail)

    assert partial.units == whole.units


def test_units_beyond_the_horizon_go_though_the_budget_has_room() -> None:
    window = ContextWindow(build_rules(10_000, max_positions=800))  # holds 500 ids: 10 units

    feed(window, *map(build_unit, range(30)))

    assert held(window) == list(range(19, 30))


def test_long_gap_drops_what_is_too_far_away() -> None:
    window = ContextWindow(build_rules(10_000))

    feed(window, build_unit(0), build_unit(1), build_unit(5000))

    assert held(window) == [5000]


def test_sinks_outlive_the_horizon_and_take_their_ids_from_it() -> None:
    rules = build_rules(10_000, max_positions=800, policy=Fifo(3))  # 150 of the 500 ids
    window = ContextWindow(rules)

    feed(window, *map(build_unit, range(30)))

    assert held(window) == [0, 1, 2, *range(22, 30)]
    newest, oldest = window.units[-1], window.units[3]
    assert oldest.start_id - rules.horizon.origin(newest.start_id) >= rules.sink_ids


def test_sinks_over_half_of_the_horizon_are_refused() -> None:
    with pytest.raises(ValueError, match="6 sinks take 300 ids"):
        ContextRules(1000, Horizon(800), IDS_PER_S, Fifo(6))


def test_unit_without_tokens_counts_as_seen_and_goes_when_it_is_the_oldest() -> None:
    window = ContextWindow(build_rules(20))

    feed(window, build_unit(0, 0, 0))
    assert held(window) == [0]
    feed(window, build_unit(1), build_unit(2, 0, 0))
    assert held(window) == [1, 2]
    feed(window, build_unit(3), build_unit(4))
    assert held(window) == [3, 4]


def test_seconds_held_are_those_of_units_with_tokens() -> None:
    window = ContextWindow(build_rules(20))
    assert window.held_s == 0.0

    feed(window, build_unit(0), build_unit(1, 0, 0))
    assert window.held_s == 2.0
    feed(window, build_unit(2), build_unit(5))
    assert window.held_s == 4.0


def test_smaller_budget_demotes_before_it_drops() -> None:
    window = ContextWindow(build_rules(110, policy=Progressive(0.6, (1.0, 0.5))))
    feed(window, *(build_unit(index, 8, 2) for index in range(4)))

    assert [unit.held for unit in window.within(30)] == [
        TokenCounts(4, 2),
        TokenCounts(4, 2),
        TokenCounts(4, 2),
        TokenCounts(8, 2),
    ]
    assert window.within(0) == ()
    assert window.num_tokens == 40


def test_tokens_given_up_do_not_come_back_with_the_budget() -> None:
    window = ContextWindow(build_rules(110, policy=Progressive(0.6, (1.0, 0.5))))
    feed(window, *(build_unit(index, 8, 2) for index in range(4)))
    window.hold(window.within(20))
    faded = [unit.held.video for unit in window.units]

    feed(window, build_unit(4, 8, 2))

    assert sum(faded) < 20
    assert [unit.held.video for unit in window.units] == [*faded, 8]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@given(sizes=SIZES, num_tokens=st.integers(0, 200))
def test_context_can_be_made_as_small_as_need_be(
    policy: Policy, sizes: list[tuple[int, int]], num_tokens: int
) -> None:
    window = ContextWindow(build_rules(200, policy=policy))
    for index, size in enumerate(sizes):
        if window.rules.admits(build_unit(index, *size)):
            feed(window, build_unit(index, *size))

    smaller = window.within(num_tokens)

    assert sum(unit.num_tokens for unit in smaller) <= num_tokens
    assert {unit.index for unit in smaller} <= {*held(window)}
    assert [u.num_tokens for u in window.within(200)] == [
        u.num_tokens for u in window.rules.held(window.units)
    ]


@pytest.mark.parametrize(
    ("window_s", "expected"),
    [(100.0, [0, 1, 2, 3]), (6.0, [1, 2, 3]), (4.5, [1, 2, 3]), (4.0, [2, 3])],
)
def test_window_leaves_out_what_ended_before_it(window_s: float, expected: list[int]) -> None:
    window = ContextWindow(build_rules(100))
    feed(window, *map(build_unit, range(4)))

    assert [unit.index for unit in window.seen(window_s, None)] == expected


def test_window_of_an_empty_context_is_empty() -> None:
    assert ContextWindow(build_rules(100)).seen(1.0, None) == ()


@pytest.mark.parametrize(
    ("window_s", "at_s", "expected"),
    [(None, 4.0, [0, 1]), (None, 4.1, [0, 1, 2]), (2.0, 6.0, [2]), (3.0, 6.0, [1, 2])],
)
def test_moment_in_the_past_sees_nothing_later(
    window_s: float | None, at_s: float, expected: list[int]
) -> None:
    window = ContextWindow(build_rules(100))
    feed(window, *map(build_unit, range(4)))

    assert [unit.index for unit in window.seen(window_s, at_s)] == expected


@pytest.mark.parametrize(("window_s", "at_s"), [(None, 2.0), (2.0, 4.0), (None, 8.1), (2.0, 12.0)])
def test_moment_that_is_forgotten_or_to_come_is_refused(
    window_s: float | None, at_s: float
) -> None:
    window = ContextWindow(build_rules(20))
    feed(window, *map(build_unit, range(4)))

    with pytest.raises(MomentNotHeld, match="from 4 s to 8 s") as caught:
        window.seen(window_s, at_s)

    assert (caught.value.details["start_s"], caught.value.details["end_s"]) == (4.0, 8.0)


def test_spans_merge_adjacent_units_and_leave_out_empty_ones() -> None:
    units = [build_unit(0), build_unit(1), build_unit(3), build_unit(4, 0, 0), build_unit(5)]

    assert spans(units) == ((0.0, 4.0), (6.0, 8.0), (10.0, 12.0))


def test_chunk_is_described_by_the_rules() -> None:
    assert build_rules().unit(build_chunk(4)).start_id == 8 * IDS_PER_S


@given(
    st.integers(0, 10_000_000),
    st.sampled_from([400, 1000, 32_768, 131_072]),
    st.sampled_from([None, 150, 1500, 1_000_000]),
)
def test_ids_stay_within_the_horizon(
    start_id: int, max_positions: int, trained_ids: int | None
) -> None:
    horizon = Horizon(max_positions, trained_ids)
    oldest = max(start_id - horizon.span, 0)

    origin = horizon.origin(start_id)

    assert 0 <= origin <= oldest
    assert horizon.max_header + start_id - origin + horizon.max_text <= max_positions
    assert trained_ids is None or start_id - origin <= trained_ids


def test_model_trained_with_short_streams_holds_no_longer_ones() -> None:
    rules = ContextRules(10_000, Horizon(32_768, trained_ids=600), IDS_PER_S, Fifo())
    window = ContextWindow(rules)

    feed(window, *map(build_unit, range(30)))

    assert held(window) == list(range(19, 30))  # 500 ids
    assert rules.horizon.max_text == Horizon(32_768).max_text


def test_origin_moves_rarely() -> None:
    horizon = Horizon(32_768)

    origins = [horizon.origin(index * 50) for index in range(1800)]  # an hour

    assert origins == sorted(origins)
    assert len(set(origins)) == 1 + (1799 * 50 - horizon.span) // 4096
