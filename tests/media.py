"""Synthetic media with known content: pictures of one colour, tones, noise."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.media.frames import AUDIO_SAMPLE_RATE_HZ, AudioFrame, VideoFrame

HEIGHT, WIDTH = 56, 84


def make_pixels(value: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A picture `[H, W, 3]` of one grey; resizing keeps the value."""
    return np.full((height, width, 3), value, dtype=np.uint8)


def make_video(
    start_s: float, stop_s: float, *, fps: float = 10.0, height: int = HEIGHT, width: int = WIDTH
) -> list[VideoFrame]:
    """Pictures from `start_s` on; the grey is the picture's number on the stream's clock."""
    first, last = math.ceil(start_s * fps - 1e-6), math.ceil(stop_s * fps - 1e-6)
    return [
        VideoFrame(number / fps, make_pixels(number % 256, height, width))
        for number in range(first, last)
    ]


def make_noise(duration_s: float, seed: int = 0) -> Tensor:
    """Loud noise `[S]`, so that no mel value is near the floor."""
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(round(duration_s * AUDIO_SAMPLE_RATE_HZ), generator=generator)


def cut_audio(samples: Tensor, start_s: float = 0.0, frame_s: float = 0.02) -> list[AudioFrame]:
    """The samples as frames of `frame_s`, the first at `start_s`."""
    size = round(frame_s * AUDIO_SAMPLE_RATE_HZ)
    return [
        AudioFrame(start_s + number * size / AUDIO_SAMPLE_RATE_HZ, part)
        for number, part in enumerate(samples.split(size))
    ]


def make_audio(start_s: float, stop_s: float, seed: int = 0) -> list[AudioFrame]:
    """Noise in frames of 20 ms."""
    return cut_audio(make_noise(stop_s - start_s, seed), start_s)
