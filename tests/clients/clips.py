"""Small media files made on the spot, with a flash and a beep at known times."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, VideoFrame

BEEP_HZ = 1000


def make_clip(
    path: Path,
    *,
    length_s: float = 2.0,
    flash_s: float = 1.0,
    size: tuple[int, int] = (64, 48),
    fps: int = 20,
    has_video: bool = True,
    has_audio: bool = True,
    rate_hz: int = 48_000,
) -> Path:
    """A dark picture that is white, and silence that beeps, for 0.2 s from `flash_s`."""
    with av.open(str(path), "w") as container:
        if has_video:
            video = container.add_stream("mpeg4", rate=fps)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
        if has_audio:
            audio = container.add_stream("aac", rate=rate_hz, layout="mono")
        if has_video:
            for index in range(round(length_s * fps)):
                is_lit = flash_s <= index / fps < flash_s + 0.2
                pixels = np.full((size[1], size[0], 3), 255 if is_lit else 20, np.uint8)
                frame = VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, fps)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if has_audio:
            times_s = np.arange(round(length_s * rate_hz)) / rate_hz
            is_loud = (times_s >= flash_s) & (times_s < flash_s + 0.2)
            wave = (12_000 * is_loud * np.sin(2 * np.pi * BEEP_HZ * times_s)).astype(np.int16)
            for start in range(0, len(wave), 1024):
                sound = AudioFrame.from_ndarray(
                    wave[None, start : start + 1024], format="s16", layout="mono"
                )
                sound.sample_rate, sound.pts = rate_hz, start
                sound.time_base = Fraction(1, rate_hz)
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


def turn(path: Path) -> Path:
    """Note in an mp4's track header that the picture is to be shown turned by a quarter."""
    data = bytearray(path.read_bytes())
    tag = data.index(b"tkhd")
    matrix = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4")
    data[tag + 44 : tag + 80] = matrix.tobytes()
    path.write_bytes(data)
    return path
