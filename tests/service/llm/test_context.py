"""What stays in context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.llm.context import ContextWindow, Horizon, Unit, drop_oldest, num_fitting


def unit(index: int, num_tokens: int = 10) -> Unit:
    return Unit(index, num_tokens, index * 50, index * 2.0, index * 2.0 + 2.0)


def feed(window: ContextWindow, *units: Unit) -> list[int]:
    dropped = []
    for each in units:
        gone = window.to_drop(each)
        window.drop(gone)
        window.push(each)
        dropped += gone
    return dropped


def held(window: ContextWindow) -> list[int]:
    return [each.index for each in window.units]


def test_units_within_the_budget_stay() -> None:
    window = ContextWindow(max_tokens=30, horizon=Horizon(32_768))

    assert feed(window, unit(0), unit(1), unit(2)) == []
    assert held(window) == [0, 1, 2]
    assert window.num_tokens == 30


def test_oldest_units_go_first_and_whole() -> None:
    window = ContextWindow(max_tokens=30, horizon=Horizon(32_768))

    assert feed(window, unit(0), unit(1), unit(2), unit(3, 15)) == [0, 1]
    assert held(window) == [2, 3]


def test_deciding_changes_nothing() -> None:
    window = ContextWindow(max_tokens=10, horizon=Horizon(32_768))
    feed(window, unit(0))

    assert window.to_drop(unit(1)) == window.to_drop(unit(1)) == [0]
    assert held(window) == [0]


def test_unit_over_the_budget_can_never_come() -> None:
    window = ContextWindow(max_tokens=10, horizon=Horizon(32_768))

    with pytest.raises(ValueError, match="11 tokens, but the budget is 10"):
        window.to_drop(unit(0, 11))


@pytest.mark.parametrize("index", [3, 2])
def test_unit_must_be_newer_than_all_held(index: int) -> None:
    window = ContextWindow(max_tokens=30, horizon=Horizon(32_768))
    feed(window, unit(3))

    with pytest.raises(ValueError, match=f"index {index} after 3"):
        window.to_drop(unit(index))


def test_units_beyond_the_horizon_go_though_the_budget_has_room() -> None:
    window = ContextWindow(max_tokens=10_000, horizon=Horizon(800))  # holds 500 ids: 10 units

    dropped = feed(window, *map(unit, range(30)))

    assert dropped == list(range(19))
    assert held(window) == list(range(19, 30))


def test_long_gap_drops_what_is_too_far_away() -> None:
    window = ContextWindow(max_tokens=10_000, horizon=Horizon(32_768))

    assert feed(window, unit(0), unit(1), unit(5000)) == [0, 1]


@pytest.mark.parametrize(
    ("window_s", "expected"), [(100.0, []), (6.0, [0]), (4.5, [0]), (4.0, [0, 1]), (0.1, [0, 1, 2])]
)
def test_window_names_what_ended_before_it(window_s: float, expected: list[int]) -> None:
    window = ContextWindow(max_tokens=100, horizon=Horizon(32_768))
    feed(window, *map(unit, range(4)))

    assert window.outside(window_s) == expected


def test_window_of_an_empty_context_is_empty() -> None:
    assert ContextWindow(max_tokens=100, horizon=Horizon(32_768)).outside(1.0) == []


@given(st.integers(0, 10_000_000), st.sampled_from([400, 1000, 32_768, 131_072]))
def test_ids_stay_within_the_horizon(start_id: int, max_positions: int) -> None:
    horizon = Horizon(max_positions)
    oldest = max(start_id - horizon.span, 0)

    origin = horizon.origin(start_id)

    assert 0 <= origin <= oldest
    assert horizon.max_header + start_id - origin + horizon.max_text <= max_positions


def test_origin_moves_rarely() -> None:
    horizon = Horizon(32_768)

    origins = [horizon.origin(index * 50) for index in range(1800)]  # an hour

    assert origins == sorted(origins)
    assert len(set(origins)) == 1 + (1799 * 50 - horizon.span) // 4096


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(0, 60))
def test_newest_units_that_fit_are_those_that_dropping_leaves(
    sizes: list[int], max_tokens: int
) -> None:
    units = [unit(index, size) for index, size in enumerate(sizes)]

    fitting = num_fitting(sizes, max_tokens)

    assert sum(sizes[len(sizes) - fitting :]) <= max_tokens
    assert fitting == len(sizes) or sum(sizes[len(sizes) - fitting - 1 :]) > max_tokens
    dropped = drop_oldest(units, sum(sizes) - max_tokens)
    assert sum(sizes[len(dropped) :]) == sum(sizes[len(sizes) - fitting :])
