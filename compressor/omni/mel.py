"""Whisper's log-mel features of an endless stream. Knows nothing about chunks or clocks.

Source: the feature extractor of Whisper, arXiv 2212.04356, with 128 bins, as Qwen2.5-Omni uses it.
"""

import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE_HZ = 16_000
HOP_SAMPLES = 160  # 10 ms
WINDOW_SAMPLES = 400  # 25 ms
LOOK_AHEAD_SAMPLES = WINDOW_SAMPLES // 2  # 12.5 ms
NUM_MEL_BINS = 128
DYNAMIC_RANGE = 8.0  # decades below the loudest that are kept apart
DEFAULT_PEAK = 0.0  # log10 of mel power, about that of speech at a low volume


def mel_filters(num_bins: int = NUM_MEL_BINS) -> Tensor:
    """Build the mel filter bank: `[WINDOW_SAMPLES // 2 + 1, num_bins]` float32."""
    filters = mel_filter_bank(
        num_frequency_bins=WINDOW_SAMPLES // 2 + 1,
        num_mel_filters=num_bins,
        min_frequency=0.0,
        max_frequency=SAMPLE_RATE_HZ / 2,
        sampling_rate=SAMPLE_RATE_HZ,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(filters).float()


class StreamingMel:
    """Log-mel of one stream of samples, pushed in pieces of any size.

    Frame k is centred on sample 160 k and sees 200 samples either way, so it is complete 12.5 ms
    after its centre; before sample zero the signal is mirrored. All frames together equal those of
    the offline extractor over the same samples, with one exception: offline, values are floored at
    80 dB below the loudest of the whole recording, here below the loudest so far. The two differ
    only where a value is more than 80 dB below a maximum that comes later (digital silence before
    the first sound), or where nothing is as loud as `peak`.

    Samples that never arrived are the caller's to account for: push zeros to keep the frames
    aligned with time, or call `reset` and count frames anew from the next sample.

    Args:
        peak: The loudest assumed before anything is heard, log10 of mel power.
        num_bins: Mel bins per frame.
    """

    def __init__(self, peak: float = DEFAULT_PEAK, num_bins: int = NUM_MEL_BINS) -> None:
        self._filters = mel_filters(num_bins).T.contiguous()  # [bins, frequencies]
        self._window = torch.hann_window(WINDOW_SAMPLES)
        self._peak = torch.tensor(peak)
        self._pending = torch.empty(0)
        self._is_started = False

    def push(self, samples: Tensor) -> Tensor:
        """Take samples and return the frames that they complete.

        Args:
            samples: Mono 16 kHz `[S]` float32 in -1 to 1, S of 0 or more.

        Returns:
            `[128, F]` float32, F of 0 or more.

        Raises:
            ValueError: On another shape or dtype.
        """
        if samples.dim() != 1 or samples.dtype != torch.float32:
            raise ValueError(
                f"samples must be [S] float32, got {list(samples.shape)} {samples.dtype}"
            )
        self._append(samples)
        ready = self._pending.numel() - WINDOW_SAMPLES
        return self._take(max(ready // HOP_SAMPLES + 1, 0) if self._is_started else 0)

    def flush(self) -> Tensor:
        """End the stream: mirror the signal at its end and return the frames left, `[128, F]`.

        S samples in all make S // 160 frames; fewer than 201 make none, there being too little to
        mirror. Afterwards the next sample starts a new stream, as after `reset`.
        """
        frames = self._take(0)
        if self._is_started:
            end = self._pending[-LOOK_AHEAD_SAMPLES - 1 : -1].flip(0)
            self._pending = torch.cat([self._pending, end])
            # the frame centred on the end itself is left out, as offline
            frames = self._take((self._pending.numel() - WINDOW_SAMPLES) // HOP_SAMPLES)
        self.reset()
        return frames

    def reset(self) -> None:
        """Forget the samples, but not how loud the stream has been."""
        self._pending = torch.empty(0)
        self._is_started = False

    def _append(self, samples: Tensor) -> None:
        self._pending = torch.cat([self._pending, samples])
        if not self._is_started and self._pending.numel() > LOOK_AHEAD_SAMPLES:
            start = self._pending[1 : LOOK_AHEAD_SAMPLES + 1].flip(0)
            self._pending = torch.cat([start, self._pending])
            self._is_started = True

    def _take(self, num_frames: int) -> Tensor:
        if num_frames == 0:
            return torch.empty(len(self._filters), 0)
        signal = self._pending[: (num_frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES]
        self._pending = self._pending[num_frames * HOP_SAMPLES :].clone()
        return self._normalise(self._log_mel(signal))

    def _log_mel(self, signal: Tensor) -> Tensor:
        spectrum = torch.stft(
            signal,
            WINDOW_SAMPLES,
            HOP_SAMPLES,
            window=self._window,
            center=False,
            return_complex=True,
        )
        return (self._filters @ spectrum.abs().square()).clamp(min=1e-10).log10()

    def _normalise(self, log_mel: Tensor) -> Tensor:
        loudest = torch.maximum(log_mel.amax(0).cummax(0).values, self._peak)
        self._peak = loudest[-1]
        return (torch.maximum(log_mel, loudest - DYNAMIC_RANGE) + 4.0) / 4.0


__all__ = [
    "DEFAULT_PEAK",
    "DYNAMIC_RANGE",
    "HOP_SAMPLES",
    "LOOK_AHEAD_SAMPLES",
    "NUM_MEL_BINS",
    "SAMPLE_RATE_HZ",
    "WINDOW_SAMPLES",
    "StreamingMel",
    "mel_filters",
]
