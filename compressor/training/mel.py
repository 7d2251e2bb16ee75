"""Whisper's log-mel of whole waveforms, batched on any device.

Equal to the streaming front end (`compressor.omni.mel`) fed from the stream's start. Knows nothing
about models.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.omni.mel import (
    DEFAULT_PEAK,
    DYNAMIC_RANGE,
    HOP_SAMPLES,
    WINDOW_SAMPLES,
    mel_filters,
)


class LogMel(nn.Module):
    """Turns waveforms into normalised log-mel frames of 10 ms."""

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", mel_filters().T, persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW_SAMPLES), persistent=False)

    @torch.no_grad()
    def forward(self, wave: Tensor) -> Tensor:
        """Transform `[B, S]` float32, S a multiple of 160, to `[B, 128, S / 160]`."""
        padded = F.pad(wave[:, None], (WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2), mode="reflect")[
            :, 0
        ]
        spectrum = torch.stft(
            padded,
            WINDOW_SAMPLES,
            HOP_SAMPLES,
            window=self.window,
            center=False,
            return_complex=True,
        )
        power = spectrum[:, :, :-1].abs().square()
        log_mel = (self.filters @ power).clamp(min=1e-10).log10()
        # the floor follows the loudest so far, not of the clip: a stream does not know its future
        peak = log_mel.amax(1, keepdim=True).cummax(2).values.clamp(min=DEFAULT_PEAK)
        return (torch.maximum(log_mel, peak - DYNAMIC_RANGE) + 4.0) / 4.0


__all__ = ["LogMel"]
