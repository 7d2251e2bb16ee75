from dataclasses import replace

import pytest

from compressor.training.questions import Kind
from compressor.training.schedule import (
    PLANS,
    Progress,
    Stage,
    calibrates_selector,
    learning_rate,
)
from compressor.training.selection import Rule

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

    assert calibrating == {"sifted", "composed", "counting"}


@pytest.mark.parametrize(
    ("stage", "kinds"),
    [
        (PLANS["composed"][1].drill, {Kind.WORD, Kind.WORD_ORDER}),
        (PLANS["counting"][1], {Kind.COUNT, Kind.SOUND_COUNT}),
        (PLANS["counting"][1].drill, {Kind.COUNT, Kind.SOUND_COUNT, Kind.WORD, Kind.WORD_ORDER}),
    ],
)
def test_what_a_stage_is_for_is_asked_about_most(stage: Stage, kinds: set[Kind]) -> None:
    shares = {kind: stage.kind_weights.get(kind, 1.0) for kind in Kind}

    assert sum(shares[kind] for kind in kinds) >= 0.5 * sum(shares.values())
    assert stage.speech_share > 0


def test_heads_learn_alone_before_a_plan_that_starts_with_new_ones() -> None:
    for name in ("towers", "composed", "counting", "random", "random_counting"):
        probes, main = PLANS[name]
        assert probes.has_frozen_model
        assert probes.has_frozen_towers
        assert not main.has_frozen_model
        assert (probes.durations_s, probes.has_all_pairs) == (main.durations_s, main.has_all_pairs)


@pytest.mark.parametrize(
    ("name", "at_random"), [("composed", "random"), ("counting", "random_counting")]
)
def test_random_drop_is_trained_as_the_selector_is(name: str, at_random: str) -> None:
    for stage, as_random in zip(PLANS[name], PLANS[at_random], strict=True):
        assert replace(stage, budgets=(), drill=None) == replace(as_random, budgets=(), drill=None)
        assert {one.rule for one in as_random.budgets} == {Rule.FULL, Rule.RANDOM}
        if stage.drill:
            assert as_random.drill
            assert replace(stage.drill, budgets=()) == replace(as_random.drill, budgets=())
            assert {one.rule for one in as_random.drill.budgets} == {Rule.RANDOM}
