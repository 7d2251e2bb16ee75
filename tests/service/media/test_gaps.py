import pytest

from service.media.chunk import Gap
from service.media.gaps import audio_gaps, reach_back, video_gaps


def test_slots_are_half_seconds_from_the_start_of_the_chunk() -> None:
    assert video_gaps(3, [range(1), range(2, 4)]) == [
        Gap("video", 6.0, 0.5),
        Gap("video", 7.0, 1.0),
    ]


def test_positions_are_samples_and_less_than_a_mel_frame_is_not_told() -> None:
    holes = [range(16_000, 17_600), range(20_000, 20_159), range(24_000, 24_160)]

    assert audio_gaps(holes) == [Gap("audio", 1.0, 0.1), Gap("audio", 1.5, 0.01)]


@pytest.mark.parametrize(
    ("gaps", "after", "expected"),
    [
        ([], 4, []),
        ([Gap("audio", 10.0, 0.5)], 4, [Gap("audio", 10.0, 0.5)]),
        ([], 2, [Gap("audio", 6.0, 4.0)]),
        ([Gap("audio", 10.0, 0.5)], 2, [Gap("audio", 6.0, 4.5)]),
        ([Gap("audio", 10.5, 0.5)], 2, [Gap("audio", 6.0, 4.0), Gap("audio", 10.5, 0.5)]),
    ],
)
def test_chunks_that_were_skipped_are_part_of_the_gap(
    gaps: list[Gap], after: int, expected: list[Gap]
) -> None:
    assert reach_back(gaps, "audio", 5, after) == expected
