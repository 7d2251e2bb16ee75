from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from av import AudioFrame, VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from clients.sdk.media.framing import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    AudioFramer,
    VideoFitter,
    VideoLimits,
    fit_size,
)


def sound(num_samples: int, level: int = 1000, rate_hz: int = SAMPLE_RATE_HZ) -> AudioFrame:
    samples = np.full((1, num_samples), level, np.int16)
    frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = rate_hz
    return frame


def framed(*pieces: tuple[AudioFrame, float]) -> list[AudioFrame]:
    framer = AudioFramer()
    frames = [out for frame, time_s in pieces for out in framer.push(frame, time_s)]
    return frames + list(framer.flush())


def wave(frames: list[AudioFrame]) -> np.ndarray:
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=20))
def test_sound_in_pieces_of_any_size_is_one_line_of_20_ms_frames(sizes: list[int]) -> None:
    starts = np.cumsum([0, *sizes[:-1]]) / SAMPLE_RATE_HZ

    frames = framed(*((sound(n), float(s)) for n, s in zip(sizes, starts, strict=True)))

    assert [frame.samples for frame in frames] == [FRAME_SAMPLES] * len(frames)
    assert [frame.pts for frame in frames] == [i * FRAME_SAMPLES for i in range(len(frames))]
    assert np.count_nonzero(wave(frames)) == sum(sizes)


def test_missing_sound_becomes_silence_of_its_length() -> None:
    frames = framed((sound(4800), 0.0), (sound(4800), 0.5))

    lit = np.flatnonzero(wave(frames)) / SAMPLE_RATE_HZ
    assert frames[-1].time == pytest.approx(0.58)
    assert np.all((lit < 0.1) | (lit >= 0.5))


def test_sound_that_starts_late_starts_late() -> None:
    assert np.flatnonzero(wave(framed((sound(4800), 0.5))))[0] == 0.5 * SAMPLE_RATE_HZ


def test_overlapping_sound_is_cut() -> None:
    frames = framed((sound(48_000), 0.0), (sound(48_000), 0.5))

    assert frames[-1].time == pytest.approx(1.48)


def test_sound_before_zero_is_left_out() -> None:
    frames = framed((sound(48_000), -0.5))

    assert frames[-1].time == pytest.approx(0.48)


def test_rounded_timestamps_make_neither_gaps_nor_cuts() -> None:
    pieces = [(sound(1024), round(i * 1024 / SAMPLE_RATE_HZ, 2)) for i in range(100)]

    assert np.count_nonzero(wave(framed(*pieces))) == 100 * 1024


def test_other_rates_and_layouts_are_converted_even_mid_stream() -> None:
    stereo = AudioFrame.from_ndarray(
        np.full((2, 4410), 0.25, np.float32), format="fltp", layout="stereo"
    )
    stereo.sample_rate = 44_100

    frames = framed((stereo, 0.0), (sound(1600, rate_hz=16_000), 0.1))

    assert frames[0].layout.name == "mono"
    assert frames[-1].time == pytest.approx(0.18)
    assert wave(frames)[2000] == pytest.approx(0.25 * 32768, rel=0.05)


def test_long_gap_is_filled_without_holding_it_in_memory() -> None:
    framer = AudioFramer()
    list(framer.push(sound(960), 0.0))

    filling = framer.push(sound(960), 100_000.0)

    assert next(filling).time == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((640, 480), (640, 480)),
        ((1920, 1080), (960, 540)),
        ((1080, 1920), (540, 960)),
        ((641, 361), (640, 360)),
        ((10_000, 3), (960, 2)),
        ((1, 1), (2, 2)),
    ],
)
def test_size_keeps_its_shape_and_is_even(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit_size(*size, 960) == fitted


def test_frames_above_the_rate_are_left_out() -> None:
    fitter = VideoFitter(VideoLimits(max_fps=15))

    kept = [i for i in range(60) if fitter.fit(VideoFrame(64, 48), i / 30) is not None]

    assert kept == list(range(0, 60, 2))


def test_slow_video_is_left_as_it_is() -> None:
    fitter = VideoFitter(VideoLimits(max_fps=15))

    times = [fitter.fit(VideoFrame(64, 48), i / 2) for i in range(5)]

    assert [frame and frame.time for frame in times] == [0, 0.5, 1, 1.5, 2]


@pytest.fixture
def make_frame() -> Callable[[str], VideoFrame]:
    return lambda format_: VideoFrame.from_ndarray(
        np.full((100, 200, 3), 128, np.uint8), format="rgb24"
    ).reformat(format=format_)


@pytest.mark.parametrize("format_", ["rgb24", "yuv422p", "nv12", "gray"])
def test_any_picture_becomes_yuv420p_with_a_time(
    make_frame: Callable[[str], VideoFrame], format_: str
) -> None:
    frame = VideoFitter(VideoLimits(max_side_px=100)).fit(make_frame(format_), 1.5)

    assert frame is not None
    assert (frame.format.name, frame.width, frame.height) == ("yuv420p", 100, 50)
    assert (frame.pts, frame.time_base) == (135_000, Fraction(1, 90_000))
