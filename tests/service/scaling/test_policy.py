from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scaling.policy import MAX_SAMPLES, History, ScalingConfig, decide

CONFIG = ScalingConfig(startup_s=60.0, trend_s=30.0, hold_s=600.0)


def follow(
    demand: Callable[[float], float], until_s: int, *, step_s: int = 5, config=CONFIG
) -> list[int]:
    history, target, targets = History(), 1, []
    for now_s in range(0, until_s, step_s):
        target, history = decide(history, demand(now_s), now_s, target, config)
        targets.append(target)
    return targets


def test_steady_load_keeps_as_many_replicas_as_carry_it() -> None:
    assert set(follow(lambda _: 2.4, 3600)) == {3}


def test_a_whole_number_of_replicas_worth_asks_for_no_more() -> None:
    assert follow(lambda _: 0.1 + 0.2 + 2.7, 60)[-1] == 3


def test_no_load_keeps_one() -> None:
    assert set(follow(lambda _: 0.0, 3600)) == {1}


def test_a_jump_is_answered_at_once() -> None:
    targets = follow(lambda now_s: 1.0 if now_s < 100 else 5.0, 130)
    assert targets[19] == 1
    assert targets[20] >= 5


def test_growth_is_followed_as_far_ahead_as_a_start_takes() -> None:
    # one replica's worth a minute, and a minute to start one
    targets = follow(lambda now_s: now_s / 60, 1200)
    at_600_s = targets[600 // 5]
    assert at_600_s == 11


def test_replicas_go_only_after_nobody_wanted_them_for_long() -> None:
    def demand(now_s: float) -> float:
        return 3.0 if now_s < 100 else 0.7

    targets = follow(demand, 900)
    # a sample stands for some seconds, and goes with the first of them
    assert set(targets[: (95 + 600 - 10) // 5]) == {3}
    assert targets[-1] == 1


def test_a_load_that_swings_faster_than_it_is_held_moves_nothing() -> None:
    targets = follow(lambda now_s: 3.0 if now_s // 150 % 2 else 1.5, 7200)
    settled = targets[400 // 5 :]
    assert len(set(settled)) == 1


def test_a_load_on_the_edge_of_a_replica_moves_nothing() -> None:
    targets = follow(lambda now_s: 2.0 + (0.01 if now_s % 10 else -0.01), 7200)
    assert sum(a != b for a, b in pairwise(targets[10:])) == 0


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=300),
    st.floats(0.1, 30),
)
def test_there_is_never_less_than_the_load_asks_for_now(loads, step_s) -> None:
    history, target = History(), 1
    for number, load in enumerate(loads):
        target, history = decide(history, load, number * step_s, target, CONFIG)
        assert target >= min(load, 1)
        assert target + 1e-5 >= load
        assert len(history.samples) <= MAX_SAMPLES + 1


@given(st.lists(st.floats(0, 50), min_size=2, max_size=300))
def test_a_replica_wanted_within_the_hold_stays(loads) -> None:
    history, target, peaks = History(), 1, []
    for number, load in enumerate(loads):
        now_s = number * 5.0
        target, history = decide(history, load, now_s, target, CONFIG)
        peaks.append((now_s, load))
        # samples stand for up to a period, merged ones for two
        held = [peak for at_s, peak in peaks if now_s - at_s < CONFIG.hold_s - 40]
        assert target + 1e-5 >= max(held)


def test_the_history_survives_as_plain_state() -> None:
    _, history = decide(History(), 2.0, 10.0, 1, CONFIG)
    assert History.from_state(history.state) == history
    assert History.from_state({}) == History()


@pytest.mark.parametrize(
    "bad", [{"startup_s": -1.0}, {"trend_s": 0.0}, {"hold_s": 10.0, "trend_s": 20.0}]
)
def test_a_configuration_that_means_nothing_is_refused(bad) -> None:
    with pytest.raises(ValueError, match="are required"):
        ScalingConfig(**bad)
