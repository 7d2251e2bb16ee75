import pytest

from compressor.training.schedule import (
    PLANS,
    Progress,
    Stage,
    calibrates_selector,
    learning_rate,
)

STAGE = Stage("x", 1.0, 1e-3, (4,), (1.0,), warmup=0.1)


def test_the_rate_rises_then_falls() -> None:
    rates = [learning_rate(STAGE, done) for done in (0.0, 0.05, 0.1, 0.5, 1.0)]

    assert rates[0] == 0
    assert rates[1] < rates[2] > rates[3] > rates[4] > 0
    assert max(rates) <= 1e-3


def test_the_nearer_limit_counts() -> None:
    assert Progress(10, None).share(5, 1e9) == 0.5
    assert Progress(None, 100.0).share(5, 25.0) == 0.25
    assert Progress(10, 100.0).share(5, 75.0) == 0.75


@pytest.mark.parametrize("name", PLANS)
def test_plans_are_whole(name: str) -> None:
    assert sum(stage.share for stage in PLANS[name]) == pytest.approx(1.0)
    for stage in PLANS[name]:
        assert len(stage.durations_s) == len(stage.weights_of_lengths)
        assert all(duration_s % 2 == 0 for duration_s in stage.durations_s)


def test_only_plans_with_the_selector_in_the_loop_make_its_scores_probabilities() -> None:
    calibrating = {name for name, stages in PLANS.items() if calibrates_selector(stages)}

    assert calibrating == {"spoken", "adapted", "sifted"}
