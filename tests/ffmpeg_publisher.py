"""Publishes by FFmpeg's own WHIP muxer; a program, since it holds Python's lock while it waits.

python -m tests.ffmpeg_publisher URL SECONDS H264_PROFILE CERTIFICATE KEY
"""

import sys
import time
from fractions import Fraction

import av
import numpy as np

FPS, RATE_HZ, FRAME_SAMPLES = 15, 48_000, 960
WIDTH, HEIGHT = 320, 240


def publish(url: str, seconds: float, profile: str, certificate: str, key: str) -> None:
    """Send pictures that grow brighter and a tone, in real time."""
    options = {"cert_file": certificate, "key_file": key}
    with av.open(url, "w", format="whip", options=options) as out:
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"profile": profile, "preset": "ultrafast", "bf": "0", "g": str(FPS)}
        audio = out.add_stream("libopus", rate=RATE_HZ)
        audio.layout = "stereo"
        num_sounds, began_s = 0, time.monotonic()
        for number in range(round(seconds * FPS)):
            out.mux(video.encode(picture(number)))
            while num_sounds * FRAME_SAMPLES < (number + 1) * RATE_HZ / FPS:
                out.mux(audio.encode(sound(num_sounds)))
                num_sounds += 1
            time.sleep(max(0.0, began_s + (number + 1) / FPS - time.monotonic()))


def picture(number: int) -> av.VideoFrame:
    pixels = np.full((HEIGHT, WIDTH, 3), min(40 + 4 * number, 250), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def sound(number: int) -> av.AudioFrame:
    times_s = (number * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / RATE_HZ
    samples = (20_000 * np.sin(2 * np.pi * 440.0 * times_s)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples.repeat(2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
    frame.pts = number * FRAME_SAMPLES
    return frame


if __name__ == "__main__":
    target, length, h264_profile, *files = sys.argv[1:]
    publish(target, float(length), h264_profile, *files)
