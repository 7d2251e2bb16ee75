import asyncio
from collections.abc import Generator, Iterable
from fractions import Fraction

import pytest
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media.framing import stamp_video
from clients.sdk.media.source import FrameReader
from clients.sdk.media.tracks import Meter, Pace, SourceTrack


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def pictures(times_s: Iterable[float]) -> Generator[VideoFrame, None, None]:
    for time_s in times_s:
        yield stamp_video(VideoFrame(16, 16), time_s)


def sounds(times_s: Iterable[float]) -> Generator[AudioFrame, None, None]:
    for time_s in times_s:
        frame = AudioFrame("s16", "mono", 960)
        frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
        frame.pts = round(time_s * 48_000)
        yield frame


async def test_frames_are_given_when_they_are_due() -> None:
    loop = asyncio.get_running_loop()
    track = SourceTrack(
        "video", FrameReader(pictures([5.0, 5.1, 5.2])), Pace(is_live=False), Meter(), None
    )
    started_s = loop.time()

    given_s = [(await track.recv()).time or 0 for _ in range(3)]

    assert given_s == pytest.approx([5.0, 5.1, 5.2])
    assert 0.2 <= loop.time() - started_s < 0.5


async def test_tracks_of_one_connection_share_one_origin() -> None:
    clock = Clock()
    pace = Pace(is_live=False, now=clock)

    assert pace.late_s(3.0) == 0
    clock.now_s += 1.0
    assert pace.late_s(4.5) == pytest.approx(-0.5)
    assert pace.late_s(3.9) == pytest.approx(0.1)


def test_pace_goes_on_from_here_after_a_long_sleep() -> None:
    clock = Clock()
    pace = Pace(is_live=False, now=clock)
    pace.late_s(0.0)

    clock.now_s += 60
    assert pace.late_s(0.5) == 0
    clock.now_s += 0.1
    assert pace.late_s(0.7) == pytest.approx(-0.1)


def test_live_frames_are_always_in_time() -> None:
    clock = Clock()
    pace = Pace(is_live=True, now=clock)
    pace.late_s(0.0)

    clock.now_s += 60

    assert pace.late_s(1.0) == 0
    assert pace.late_s(200.0) == 0


async def test_late_pictures_are_left_out_but_not_all() -> None:
    clock = Clock()
    pace, meter = Pace(is_live=False, now=clock), Meter()
    pace.late_s(0.0)
    clock.now_s += 1.5
    track = SourceTrack(
        "video", FrameReader(pictures(n / 10 for n in range(13))), pace, meter, None
    )

    given_s = [(await track.recv()).time for _ in range(3)]

    assert given_s == pytest.approx([0.0, 0.5, 1.0])
    assert meter.num_late_frames == 8


async def test_late_sound_is_never_left_out() -> None:
    clock = Clock()
    pace, meter = Pace(is_live=False, now=clock), Meter()
    pace.late_s(0.0)
    clock.now_s += 1.5
    track = SourceTrack("audio", FrameReader(sounds([0.0, 0.02, 0.04])), pace, meter, None)

    given_s = [(await track.recv()).time for _ in range(3)]

    assert given_s == pytest.approx([0.0, 0.02, 0.04])
    assert meter.num_audio_frames == 3


@pytest.mark.parametrize(("until_s", "num_frames"), [(0.15, 2), (None, 4)])
async def test_track_ends_with_its_source_or_at_its_limit(
    until_s: float | None, num_frames: int
) -> None:
    meter = Meter()
    track = SourceTrack(
        "video",
        FrameReader(pictures([0.0, 0.1, 0.2, 0.3])),
        Pace(is_live=True),
        meter,
        until_s,
    )

    for _ in range(num_frames):
        await track.recv()
    with pytest.raises(MediaStreamError):
        await track.recv()

    assert track.is_over
    assert meter.num_video_frames == num_frames


async def test_track_that_aiortc_stops_is_not_over() -> None:
    track = SourceTrack("video", FrameReader(pictures([0.0])), Pace(is_live=True), Meter(), None)

    track.stop()

    with pytest.raises(MediaStreamError):
        await track.recv()
    assert not track.is_over


async def test_source_that_breaks_ends_the_track_and_is_noted() -> None:
    def breaking() -> Generator[VideoFrame, None, None]:
        yield from pictures([0.0])
        raise SourceUnavailable("unplugged")

    meter = Meter()
    track = SourceTrack("video", FrameReader(breaking()), Pace(is_live=True), meter, None)
    await track.recv()

    with pytest.raises(MediaStreamError):
        await track.recv()

    assert track.is_over
    assert str(meter.failure) == "unplugged"
