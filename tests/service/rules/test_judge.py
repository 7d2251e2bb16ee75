import pytest

from service.rules.judge import is_due, judge
from service.sessions.record import Rule, RuleState


def make_rule(**fields: float) -> Rule:
    values = {"threshold": 0.5, "cooldown_s": 10.0, "min_interval_s": 2.0, **fields}
    return Rule(id="r", condition="?", created_at_s=0.0, **values)


def firings(rule: Rule, probabilities: list[float], step_s: float = 2.0) -> list[float]:
    """When it fires, asked every `step_s`."""
    state, fired = RuleState(), []
    for number, probability in enumerate(probabilities):
        state, fires = judge(rule, state, probability, number * step_s)
        if fires:
            fired.append(number * step_s)
    return fired


@pytest.mark.parametrize(
    ("asked_at_s", "now_s", "expected"), [(None, 0.0, True), (4.0, 5.9, False), (4.0, 6.0, True)]
)
def test_rule_is_asked_no_more_often_than_it_says(
    asked_at_s: float | None, now_s: float, expected: bool
) -> None:
    assert is_due(make_rule(), RuleState(asked_at_s), now_s) is expected


def test_what_goes_on_is_told_once() -> None:
    assert firings(make_rule(cooldown_s=0.0), [0.1, 0.5, 0.9, 0.8, 0.7]) == [2.0]


def test_it_fires_again_after_it_was_clearly_over() -> None:
    assert firings(make_rule(cooldown_s=0.0), [0.9, 0.2, 0.9]) == [0.0, 4.0]


def test_wavering_around_the_threshold_is_one_event() -> None:
    assert firings(make_rule(cooldown_s=0.0), [0.6, 0.45, 0.6, 0.42, 0.6]) == [0.0]


def test_it_is_silent_while_it_cools_down() -> None:
    rule = make_rule(cooldown_s=10.0)

    # what begins at 4 s is not told at 10 s either, since it has gone on since
    assert firings(rule, [0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.9]) == [0.0, 14.0]


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.99])
def test_every_threshold_can_rearm(threshold: float) -> None:
    rule = make_rule(threshold=threshold, cooldown_s=0.0)

    assert firings(rule, [1.0, 0.0, 1.0]) == [0.0, 4.0]
