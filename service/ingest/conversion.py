"""From a codec's frames to what the chunker takes. Slow work: off the event loop."""

import av
import torch
from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from service.media.frames import AUDIO_SAMPLE_RATE_HZ


class Resampler:
    """Resamples one track; its filter remembers a millisecond of it."""

    def __init__(self) -> None:
        self._resampler = self._make()

    def resample(self, frame: av.AudioFrame) -> Tensor:
        """Mono 16 kHz float32 `[S]`; raises `ValueError` where it cannot be heard."""
        try:
            parts = self._resampler.resample(frame)
        except (ValueError, av.FFmpegError) as error:
            self._resampler = self._make()  # for what comes at another rate than before
            raise ValueError(f"sound cannot be resampled: {error}") from error
        samples = [torch.from_numpy(part.to_ndarray()[0]) for part in parts]
        return torch.cat(samples) if samples else torch.zeros(0)

    @staticmethod
    def _make() -> av.AudioResampler:
        return av.AudioResampler(format="flt", layout="mono", rate=AUDIO_SAMPLE_RATE_HZ)


def to_rgb(frame: av.VideoFrame) -> NDArray[uint8]:
    """Pixels `[H, W, 3]`; raises `ValueError` where it cannot be shown."""
    try:
        return frame.to_ndarray(format="rgb24").astype(uint8, copy=False)
    except av.FFmpegError as error:
        raise ValueError(f"a picture cannot be converted: {error}") from error


__all__ = ["Resampler", "to_rgb"]
