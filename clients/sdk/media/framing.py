"""Decoded media in the form that is sent. Knows nothing about files, devices or clocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av import AudioFrame, AudioResampler, VideoFrame
from numpy.typing import NDArray

VIDEO_CLOCK_RATE_HZ = 90_000  # RFC 3551, section 5
SAMPLE_RATE_HZ = 48_000  # RFC 7587, section 4.1
FRAME_SAMPLES = 960  # 20 ms
# encoders round timestamps: less than this is no gap, and no overlap
TOLERANCE_SAMPLES = 1920

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What is sent at most; the service itself looks at few frames per second.

    Attributes:
        max_side_px: Longer side of the picture.
        max_fps: Frames per second; the others are left out.
    """

    max_side_px: int = 960
    max_fps: float = 15.0


class VideoFitter:
    """Brings frames of one track within limits."""

    def __init__(self, limits: VideoLimits) -> None:
        self._limits = limits
        self._last_slot = -1

    def fit(self, frame: VideoFrame, time_s: float) -> VideoFrame | None:
        """Scale and time-stamp a frame; None when it comes too soon after the one before."""
        slot = int(time_s * self._limits.max_fps + 1e-6)
        if slot <= self._last_slot:
            return None
        self._last_slot = slot
        upright = _upright(frame)
        width, height = fit_size(upright.width, upright.height, self._limits.max_side_px)
        return stamp_video(upright.reformat(width=width, height=height, format="yuv420p"), time_s)


def fit_size(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Largest even size of the same shape whose longer side is within the limit."""
    scale = min(1.0, max_side_px / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def stamp_video(frame: VideoFrame, time_s: float) -> VideoFrame:
    """Set a frame's time."""
    frame.pts = round(time_s * VIDEO_CLOCK_RATE_HZ)
    frame.time_base = Fraction(1, VIDEO_CLOCK_RATE_HZ)
    return frame


def stamp_audio(samples: Samples, first_sample: int) -> AudioFrame:
    """Make a frame of mono samples `[S]`; `first_sample` counts from the stream's start."""
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    frame.pts = first_sample
    frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
    return frame


class AudioFramer:
    """Cuts sound into 20 ms frames on one unbroken time line.

    Where sound is missing there is silence, and where it overlaps the later sound is cut: sound
    and picture stay together whatever the file does.
    """

    def __init__(self) -> None:
        self._resampler = _new_resampler()
        self._input: tuple[str, str, int] | None = None
        self._pending: Samples = np.empty(0, np.int16)
        self._next_sample = 0

    def push(self, frame: AudioFrame, time_s: float) -> Iterator[AudioFrame]:
        """Take decoded sound of any format and yield the frames it completes.

        Args:
            frame: The sound.
            time_s: Time of its first sample; what is before zero is left out.
        """
        input_ = (frame.format.name, frame.layout.name, frame.sample_rate)
        if input_ != self._input:
            self._resampler, self._input = _new_resampler(), input_
        frame.pts = None
        start = round(time_s * SAMPLE_RATE_HZ)
        for piece in self._resampler.resample(frame):
            samples = piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            yield from self._place(samples, start)
            start += len(samples)

    def flush(self) -> Iterator[AudioFrame]:
        """Yield what is left, the last frame filled up with silence."""
        for piece in self._resampler.resample(None):
            samples = piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            self._pending = np.concatenate([self._pending, samples])
        self._input = None
        missing = -len(self._pending) % FRAME_SAMPLES
        self._pending = np.concatenate([self._pending, np.zeros(missing, np.int16)])
        yield from self._frames()

    def _place(self, samples: Samples, start: int) -> Iterator[AudioFrame]:
        ahead = start - (self._next_sample + len(self._pending))
        if ahead > TOLERANCE_SAMPLES:
            yield from self._silence(ahead)
        elif ahead < -TOLERANCE_SAMPLES:
            samples = samples[-ahead:]
        self._pending = np.concatenate([self._pending, samples])
        yield from self._frames()

    def _silence(self, num_samples: int) -> Iterator[AudioFrame]:
        # in pieces: a gap may be long
        while num_samples > 0:
            piece = np.zeros(min(num_samples, FRAME_SAMPLES), np.int16)
            num_samples -= len(piece)
            self._pending = np.concatenate([self._pending, piece])
            yield from self._frames()

    def _frames(self) -> Iterator[AudioFrame]:
        while len(self._pending) >= FRAME_SAMPLES:
            samples, self._pending = np.split(self._pending, [FRAME_SAMPLES])
            yield stamp_audio(samples, self._next_sample)
            self._next_sample += FRAME_SAMPLES


def _new_resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)


def _upright(frame: VideoFrame) -> VideoFrame:
    # a phone held upright records sideways, and notes by how much
    quarter_turns = round(frame.rotation / 90) % 4
    if not quarter_turns:
        return frame
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    turned = np.ascontiguousarray(np.rot90(pixels, quarter_turns))
    return VideoFrame.from_ndarray(turned, format="rgb24")
