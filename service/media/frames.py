"""Decoded media with presentation times. Knows nothing about codecs or transports."""

from dataclasses import dataclass

from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

AUDIO_SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One picture.

    Attributes:
        pts_s: Presentation time in seconds, on the stream's clock.
        pixels: RGB, uint8 `[H, W, 3]`, any size.
    """

    pts_s: float
    pixels: NDArray[uint8]


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A run of samples.

    Attributes:
        pts_s: Presentation time of the first sample in seconds, on the stream's clock.
        samples: Mono 16 kHz float32 `[S]` in -1 to 1.
    """

    pts_s: float
    samples: Tensor
