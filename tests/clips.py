"""Media files with known content, written by FFmpeg."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream

AUDIO_RATE_HZ = 48_000
AUDIO_FRAME = 960


def write_clip(
    path: Path,
    *,
    duration_s: float = 4.0,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    video: bool = True,
    audio: bool = True,
    level: float = 0.3,
    codec: str = "mpeg4",
) -> Path:
    """A clip whose pictures brighten and whose sound is noise.

    Args:
        path: Its suffix names the container.
        duration_s: Of both tracks.
        fps: Pictures a second.
        size: Width and height.
        video: Whether there are pictures.
        audio: Whether there is sound.
        level: Of the noise; 0 is digital silence.
        codec: Of the pictures.
    """
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(codec, rate=fps) if video else None
        if pictures is not None:
            pictures.width, pictures.height = size
            pictures.pix_fmt = "yuv420p"
        sounds = container.add_stream("aac", rate=AUDIO_RATE_HZ) if audio else None
        if pictures is not None:
            for number in range(round(duration_s * fps)):
                _mux(container, pictures, _picture(number, fps, size))
        if sounds is not None:
            random = np.random.default_rng(0)
            for number in range(round(duration_s * AUDIO_RATE_HZ / AUDIO_FRAME)):
                noise = level * random.standard_normal((1, AUDIO_FRAME))
                _mux(container, sounds, _sound(number, noise.astype(np.float32)))
        for stream in (pictures, sounds):
            if stream is not None:
                _mux(container, stream, None)
    return path


def _picture(number: int, fps: int, size: tuple[int, int]) -> av.VideoFrame:
    pixels = np.full((size[1], size[0], 3), number * 5 % 256, dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, fps)
    return frame


def _sound(number: int, samples: np.ndarray) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate = AUDIO_RATE_HZ
    frame.pts, frame.time_base = number * AUDIO_FRAME, Fraction(1, AUDIO_RATE_HZ)
    return frame


def _mux(container: OutputContainer, stream: Stream, frame: object) -> None:
    for packet in stream.encode(frame):  # type: ignore[attr-defined]  # PyAV's stubs
        container.mux(packet)
