"""What policies let a context hold, on random streams and on small ones written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.tokens import TokenCounts
from service.llm.policy import NOTHING, Fifo, Policy, Progressive, build_policy
from service.llm.unit import Unit
from tests.service.llm.units import build_unit

SIZES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=40)
POLICIES = st.one_of(
    st.builds(Fifo, st.integers(0, 5)),
    st.builds(
        Progressive,
        st.floats(0.1, 0.9),
        st.sampled_from([(1.0,), (1.0, 0.5), (1.0, 0.5, 0.25), (0.9, 0.3, 0.1, 0.05)]),
    ),
)


def units_of(sizes: list[tuple[int, int]]) -> list[Unit]:
    return [build_unit(index, *size) for index, size in enumerate(sizes)]


def totals(plan: list[TokenCounts]) -> list[int]:
    return [counts.total for counts in plan]


@given(SIZES, POLICIES, st.integers(1, 400))
def test_budget_is_never_exceeded(
    sizes: list[tuple[int, int]], policy: Policy, max_tokens: int
) -> None:
    plan = policy.plan(units_of(sizes), max_tokens)

    assert sum(totals(plan)) <= max_tokens
    for counts, (video, audio) in zip(plan, sizes, strict=True):
        assert 0 <= counts.video <= video
        assert 0 <= counts.audio <= audio


@given(SIZES, POLICIES, st.integers(1, 400))
def test_newer_units_never_give_an_older_one_tokens_back(
    sizes: list[tuple[int, int]], policy: Policy, max_tokens: int
) -> None:
    units = units_of(sizes)

    for number in range(1, len(units)):
        before = policy.plan(units[:number], max_tokens)
        after = policy.plan(units[: number + 1], max_tokens)
        for old, new in zip(before, after, strict=False):
            assert new.video <= old.video
            assert new.audio <= old.audio


@given(SIZES, POLICIES, st.integers(1, 400), st.data())
def test_end_of_a_stream_and_its_sinks_decide_alone(
    sizes: list[tuple[int, int]], policy: Policy, max_tokens: int, data: st.DataObject
) -> None:
    units = units_of(sizes)
    cut = data.draw(st.integers(min(policy.num_sinks, len(units)), len(units)))
    sinks = units[: min(policy.num_sinks, cut)]

    rest = policy.plan([*sinks, *units[cut:]], max_tokens)

    whole = policy.plan(units, max_tokens)
    assert rest == whole[: len(sinks)] + whole[cut:]


@given(SIZES, POLICIES, st.integers(1, 400))
def test_full_means_that_nothing_older_is_held(
    sizes: list[tuple[int, int]], policy: Policy, max_tokens: int
) -> None:
    units = units_of(sizes)

    for cut in range(policy.num_sinks, len(units) + 1):
        if policy.is_full([*units[: policy.num_sinks], *units[cut:]], max_tokens):
            plan = policy.plan(units, max_tokens)
            assert set(totals(plan[policy.num_sinks : cut])) <= {0}


@given(SIZES, st.floats(0.1, 0.9), st.integers(1, 400))
def test_audio_outlives_video(
    sizes: list[tuple[int, int]], video_ratio: float, max_tokens: int
) -> None:
    plan = Progressive(video_ratio).plan(units_of(sizes), max_tokens)

    for counts, (_, audio) in zip(plan, sizes, strict=True):
        assert counts.video == 0 or counts.audio == audio
    fades = [counts.video / max(video, 1) for counts, (video, _) in zip(plan, sizes, strict=True)]
    even = [fade for fade, (video, _) in zip(fades, sizes, strict=True) if video % 8 == 0 < video]
    assert even == sorted(even)  # where rounding plays no part, the older the fainter


@given(SIZES, POLICIES, st.integers(1, 400), st.tuples(st.integers(0, 40), st.integers(0, 20)))
def test_admitted_unit_loses_no_audio_when_it_comes(
    sizes: list[tuple[int, int]], policy: Policy, max_tokens: int, size: tuple[int, int]
) -> None:
    [*_, newest] = units = units_of([*sizes, size])

    if policy.admits(newest.arrived, max_tokens) and newest.index >= policy.num_sinks:
        held = policy.plan(units, max_tokens)[-1]
        assert held.audio == newest.arrived.audio
        assert isinstance(policy, Progressive) or held == newest.arrived


def test_fifo_holds_the_newest_whole_units() -> None:
    units = units_of([(6, 4)] * 5)

    assert totals(Fifo().plan(units, 30)) == [0, 0, 10, 10, 10]
    assert totals(Fifo().plan(units, 29)) == [0, 0, 0, 10, 10]
    assert totals(Fifo().plan(units[:2], 30)) == [10, 10]
    assert Fifo().plan([], 30) == []


def test_sinks_stay_and_the_rest_is_fifo() -> None:
    units = units_of([(6, 4)] * 8)

    assert totals(Fifo(2).plan(units, 50)) == [10, 10, 0, 0, 0, 10, 10, 10]


def test_sinks_share_half_of_the_budget_and_lose_video_first() -> None:
    units = units_of([(6, 4), (9, 1), (0, 9), (6, 4), (6, 4), (6, 4), (6, 4)])

    plan = Fifo(3).plan(units, 48)

    assert plan[:3] == [TokenCounts(4, 4), TokenCounts(7, 1), TokenCounts(0, 8)]
    assert totals(plan[3:]) == [0, 0, 10, 10]
    assert not Fifo(3).admits(TokenCounts(20, 5), 48)


def test_sinks_are_known_by_their_number_not_by_coming_first() -> None:
    units = [build_unit(index) for index in range(7, 12)]

    assert totals(Fifo(2).plan(units, 30)) == [0, 0, 10, 10, 10]


def test_video_fades_in_tiers_while_audio_stays() -> None:
    units = units_of([(8, 4)] * 24)

    plan = Progressive(0.5, (1.0, 0.5, 0.25)).plan(units, 144)  # 24 of 72 video tokens per tier

    assert [counts.video for counts in plan] == [0] * 6 + [2] * 9 + [4] * 6 + [8] * 3
    assert [counts.audio for counts in plan] == [0] * 6 + [4] * 18


def test_audio_stays_when_video_is_gone() -> None:
    units = units_of([(8, 1)] * 20)

    plan = Progressive(0.5, (1.0, 0.5)).plan(units, 40)  # 10 of 20 video tokens per tier

    assert plan == [TokenCounts(0, 1)] * 17 + [TokenCounts(4, 1)] * 2 + [TokenCounts(8, 1)]


def test_unit_of_much_video_comes_faded() -> None:
    plan = Progressive(0.5, (1.0, 0.5)).plan(units_of([(30, 2)]), 60)

    assert plan == [TokenCounts(15, 2)]
    assert Progressive(0.5).admits(TokenCounts(58, 2), 60)
    assert not Progressive(0.5).admits(TokenCounts(0, 31), 60)
    assert not Progressive(0.5).admits(TokenCounts(59, 2), 60)


def test_speech_leaves_with_its_video_when_its_budget_is_used_up() -> None:
    plan = Progressive(0.5).plan(units_of([(2, 10)] * 4), 40)

    assert plan == [NOTHING, NOTHING, TokenCounts(2, 10), TokenCounts(2, 10)]


@pytest.mark.parametrize(
    ("video_ratio", "keep_ratios"),
    [(0.0, (1.0,)), (1.0, (1.0,)), (0.5, ()), (0.5, (0.5, 0.5)), (0.5, (0.5, 1.0)), (0.5, (1.5,))],
)
def test_values_out_of_range_are_refused(
    video_ratio: float, keep_ratios: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="must"):
        Progressive(video_ratio, keep_ratios)


def test_negative_number_of_sinks_is_refused() -> None:
    with pytest.raises(ValueError, match="num_sinks"):
        Fifo(-1)


def test_policies_are_built_by_name() -> None:
    def build(name: str) -> Policy:
        return build_policy(name, num_sinks=3, video_ratio=0.3, keep_ratios=(1.0, 0.2))  # type: ignore[arg-type]  # a test's literals

    assert build("fifo") == Fifo()
    assert build("sinks") == Fifo(3)
    assert build("progressive") == Progressive(0.3, (1.0, 0.2))
