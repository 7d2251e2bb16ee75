import time

import torch

from benchmarks.timing import Repeats, Timing, time_in_turn

CPU = torch.device("cpu")


def test_speedup_is_the_median_of_the_rounds_ratios() -> None:
    slow, fast = Timing((4.0, 80.0, 6.0)), Timing((2.0, 20.0, 3.0))

    assert fast.speedup_over(slow) == 2.0
    assert fast.median_s == 3.0


def test_contenders_run_in_turn_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    timings = time_in_turn(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        CPU,
        Repeats(budget_s=0.0, at_least=3),
    )

    assert calls == ["a", "b"] * 4
    assert [len(timing.times_s) for timing in timings.values()] == [3, 3]


def test_repeats_until_the_budget_is_spent_or_the_limit_reached() -> None:
    spent = time_in_turn({"nap": lambda: time.sleep(0.02)}, CPU, Repeats(budget_s=0.1))
    limited = time_in_turn({"nothing": lambda: None}, CPU, Repeats(budget_s=9.0, at_most=5))

    assert 3 <= len(spent["nap"].times_s) <= 5
    assert len(limited["nothing"].times_s) == 5
