from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media.timeline import Timeline, TimelineConfig

# anchored by the first frame alone, which keeps the tables short
CONFIG = TimelineConfig(anchor_s=0.0, max_early_s=0.25, max_late_s=0.5, settle_s=2.0)


def place(frames: list[tuple[float, float]], config: TimelineConfig = CONFIG) -> list[float]:
    timeline = Timeline[None](config)
    placed = [found for frame in frames for found in timeline.add(*frame, None)]
    return [found.at_s for found in placed]


def test_a_frame_is_placed_at_its_arrival_whatever_its_time() -> None:
    assert place([(47_000.0, 5.0)]) == [5.0]


def test_the_least_delayed_of_the_first_frames_is_the_anchor() -> None:
    timeline = Timeline[str](TimelineConfig(anchor_s=0.25))

    held = timeline.add(100.0, 5.0, "a") + timeline.add(100.1, 5.02, "b")
    assert held == []
    assert timeline.patience_s == 0.25
    placed = timeline.add(100.2, 5.26, "c") + timeline.add(100.3, 5.3, "d")

    assert [found.item for found in placed] == ["a", "b", "c", "d"]
    assert [found.arrived_s for found in placed] == [5.0, 5.02, 5.26, 5.3]
    # b came 0.1 s of its time after a, and 0.02 s after it: a was 0.08 s late
    assert [found.at_s for found in placed] == pytest.approx([4.92, 5.02, 5.12, 5.22])
    assert timeline.patience_s is None
    assert timeline.num_jumps == 0


def test_what_is_held_is_placed_when_no_more_comes() -> None:
    timeline = Timeline[str](TimelineConfig(anchor_s=0.25))
    timeline.add(100.0, 5.0, "a")

    assert [(found.at_s, found.item) for found in timeline.settle()] == [(5.0, "a")]
    assert timeline.settle() == []
    assert [found.at_s for found in timeline.add(100.5, 5.6, "b")] == [5.5]


def test_later_frames_follow_their_own_times_not_their_arrival() -> None:
    frames = [(100.0, 5.0), (100.5, 5.6), (101.0, 5.9)]

    assert place(frames) == pytest.approx([5.0, 5.5, 6.0])


def test_a_reordered_frame_keeps_its_place() -> None:
    assert place([(0.0, 5.0), (0.2, 5.2), (0.1, 5.21)]) == pytest.approx([5.0, 5.2, 5.1])


def test_a_burst_after_a_stall_keeps_its_times() -> None:
    frames = [(0.0, 5.0), *((0.1 * n, 6.5) for n in range(1, 16)), (1.6, 6.6)]
    timeline = Timeline[None](CONFIG)

    placed = [found.at_s for frame in frames for found in timeline.add(*frame, None)]

    assert placed == pytest.approx([5.0 + pts_s for pts_s, _ in frames])
    assert timeline.num_jumps == 0


def test_a_track_that_stays_late_is_anchored_anew() -> None:
    timeline = Timeline[None](CONFIG)
    timeline.add(0.0, 5.0, None)

    # paused for 3 s with its clock stopped
    placed = [
        found.at_s for n in range(1, 30) for found in timeline.add(0.1 * n, 8.0 + 0.1 * n, None)
    ]

    assert placed[:20] == pytest.approx([5.0 + 0.1 * n for n in range(1, 21)])
    assert placed[-1] == pytest.approx(10.9)
    assert timeline.num_jumps == 1


def test_lateness_that_passes_does_not_add_up() -> None:
    frames = [(0.0, 5.0)]
    for stall in range(1, 6):
        frames += [(2.0 * stall, 5.0 + 2.0 * stall + 0.9), (2.0 * stall + 1, 6.0 + 2.0 * stall)]
    timeline = Timeline[None](CONFIG)

    for frame in frames:
        timeline.add(*frame, None)

    assert timeline.num_jumps == 0


@pytest.mark.parametrize("jump_s", [-20_000.0, -3.0, 0.4, 3.0, 20_000.0])
def test_a_jump_of_times_does_not_move_the_media(jump_s: float) -> None:
    frames = [(100.0, 5.0), (100.1, 5.1), (100.2 + jump_s, 5.2), (100.3 + jump_s, 5.3)]

    assert place(frames) == pytest.approx([5.0, 5.1, 5.2, 5.3])


def test_times_that_wrap_around_go_on() -> None:
    wrap_s = 2**32 / 90_000
    config = TimelineConfig(anchor_s=0.0, wrap_s=wrap_s)
    frames = [((wrap_s - 0.05 + n / 30) % wrap_s, 5.0 + n / 30 + 0.01 * (n % 3)) for n in range(9)]
    timeline = Timeline[None](config)

    placed = [found.at_s for frame in frames for found in timeline.add(*frame, None)]

    assert frames[8][0] < frames[0][0]
    assert placed == pytest.approx([5.0 + n / 30 for n in range(9)])
    assert timeline.num_jumps == 0


def test_a_frame_reordered_across_the_wrap_keeps_its_place() -> None:
    config = TimelineConfig(anchor_s=0.0, wrap_s=100.0)

    assert place([(99.9, 5.0), (0.0, 5.1), (99.95, 5.12), (0.1, 5.2)], config) == pytest.approx(
        [5.0, 5.1, 5.05, 5.2]
    )


@given(
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 10)), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.25, 5.0]),
)
def test_whatever_the_times_media_is_never_far_ahead_of_its_arrival(
    steps: list[tuple[float, float]], anchor_s: float
) -> None:
    timeline = Timeline[int](replace(CONFIG, anchor_s=anchor_s))
    now_s, placed = 0.0, []
    for number, (pts_s, step_s) in enumerate(steps):
        now_s += step_s
        placed += timeline.add(pts_s, now_s, number)
    placed += timeline.settle()

    assert [found.item for found in placed] == list(range(len(steps)))
    for found in placed:
        assert found.at_s <= found.arrived_s + CONFIG.max_early_s + 1e-6
