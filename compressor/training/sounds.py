"""Renders the sound of scenes: short events over a quiet, irrelevant background.

Knows nothing about pictures, questions or models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compressor.training.scenes import SOUNDS, Scene, Sound
from compressor.training.speech import SAMPLE_RATE_HZ, word_wave

MAX_EVENT_SAMPLES = SAMPLE_RATE_HZ * 6 // 10  # no event and no word lasts longer
_FADE_S = 0.006
_NOTE_S = 0.3
_CLICK_SLOT_S = 0.16


@dataclass(frozen=True, slots=True)
class SoundScript:
    """Everything to mix, packed over the scenes of a call, which all have the same length.

    Attributes:
        num_samples: S, per scene.
        waves: `[E, 9600]` waveforms of all events and words, zero-padded.
        place: `[E, 2]` scene and first sample of each event.
        ambience: `[B, 7]` levels of hiss, hum, wind, murmur, music and clatter, and the hum's
            frequency in Hz.
    """

    num_samples: int
    waves: NDArray[np.float32]
    place: NDArray[np.int64]
    ambience: NDArray[np.float32]


def pack_sounds(scenes: Sequence[Scene]) -> SoundScript:
    """Synthesise the events and words of scenes of one duration.

    Raises:
        ValueError: If the scenes differ in duration.
    """
    if len({scene.duration_s for scene in scenes}) != 1:
        raise ValueError("scenes of one call must have the same duration")
    heard = [
        (i, start_s, wave) for i, scene in enumerate(scenes) for start_s, wave in _events(scene)
    ]
    waves = np.zeros((len(heard), MAX_EVENT_SAMPLES), np.float32)
    for row, (_, _, wave) in zip(waves, heard, strict=True):
        row[: len(wave)] = wave
    place = [(i, round(start_s * SAMPLE_RATE_HZ)) for i, start_s, _ in heard]
    levels = [
        (a.hiss, a.hum, a.wind, a.murmur, a.music, a.clatter, a.hum_hz)
        for a in (scene.ambience for scene in scenes)
    ]
    return SoundScript(
        num_samples=round(scenes[0].duration_s * SAMPLE_RATE_HZ),
        waves=waves,
        place=np.array(place, dtype=np.int64).reshape(-1, 2),
        ambience=np.array(levels, dtype=np.float32),
    )


def _events(scene: Scene) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Onset and waveform of all that is heard over the background."""
    yield from ((sound.start_s, event_wave(sound)) for sound in scene.sounds)
    yield from ((word.start_s, word_wave(word)) for word in scene.words)


def event_wave(sound: Sound) -> NDArray[np.float32]:
    """Synthesise one event: float32 `[S]` at 16 kHz, peak about `sound.level`."""
    num = min(round(sound.duration_s * SAMPLE_RATE_HZ), MAX_EVENT_SAMPLES)
    time_s = np.arange(num) / SAMPLE_RATE_HZ
    wave = _VOICES[SOUNDS[sound.kind]](time_s, sound)
    fade = min(round(_FADE_S * SAMPLE_RATE_HZ), num // 4)
    ramp = np.linspace(0.0, 1.0, fade)
    wave[:fade] *= ramp
    wave[-fade:] *= ramp[::-1]
    wave *= sound.level / np.abs(wave).max()
    return wave.astype(np.float32)


def _beep(time_s: NDArray[np.float64], sound: Sound) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * 1000.0 * sound.pitch * time_s)


def _thud(time_s: NDArray[np.float64], sound: Sound) -> NDArray[np.float64]:
    fall = np.exp(-time_s * 18.0)
    return fall * np.sin(2 * np.pi * 130.0 * sound.pitch * time_s + 1.5 * fall)


def _hiss(time_s: NDArray[np.float64], sound: Sound) -> NDArray[np.float64]:
    noise = np.random.default_rng(sound.seed).standard_normal(len(time_s) + 1)
    return np.diff(noise)


def _chirp(time_s: NDArray[np.float64], sound: Sound) -> NDArray[np.float64]:
    slope = 2600.0 / sound.duration_s
    return np.sin(2 * np.pi * sound.pitch * (600.0 * time_s + slope * time_s**2 / 2))


def _buzz(time_s: NDArray[np.float64], sound: Sound) -> NDArray[np.float64]:
    return np.sign(np.sin(2 * np.pi * 210.0 * sound.pitch * time_s)) * 0.6


def _bell(time_s: NDArray[np.float64], sound: Sound) -> NDArray[np.float64]:
    partials = [(1.0, 1.0, 6.0), (2.76, 0.7, 9.0), (5.4, 0.5, 14.0)]
    tones = [
        gain * np.exp(-time_s * fall) * np.sin(2 * np.pi * 720.0 * sound.pitch * ratio * time_s)
        for ratio, gain, fall in partials
    ]
    chord: NDArray[np.float64] = np.sum(tones, axis=0)
    return chord


_VOICES = {
    "beep": _beep,
    "thud": _thud,
    "hiss": _hiss,
    "chirp": _chirp,
    "buzz": _buzz,
    "bell": _bell,
}


def mix(script: SoundScript, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """Mix events and background: float32 `[B, S]` in -1 to 1, on the device.

    Deterministic given the generator's state (which lives on the same device).
    """
    ambience = torch.from_numpy(script.ambience).to(device)
    wave = background(ambience, script.num_samples, generator)
    place = torch.from_numpy(script.place).to(device)
    events = torch.from_numpy(script.waves).to(device)
    samples = place[:, 1:] + torch.arange(MAX_EVENT_SAMPLES, device=device)
    is_inside = samples < script.num_samples
    flat = place[:, :1] * script.num_samples + samples
    wave.view(-1).index_add_(0, flat[is_inside], events[is_inside])
    return wave.clamp_(-1.0, 1.0)


def background(ambience: Tensor, num_samples: int, generator: torch.Generator) -> Tensor:
    """Mix what the levels `[B, 7]` say, see `SoundScript`: float32 `[B, S]`."""
    device = ambience.device
    hiss, hum, wind, murmur, music, clatter, hum_hz = ambience[:, :, None].unbind(1)
    time_s = torch.arange(num_samples, device=device) / SAMPLE_RATE_HZ
    shape = (len(ambience), num_samples)
    white = torch.empty(shape, device=device).normal_(generator=generator)
    phase = torch.empty(len(ambience), 4, 1, device=device).uniform_(0, 6.28, generator=generator)
    tone = 2 * torch.pi * hum_hz * time_s
    humming = torch.sin(tone) + 0.5 * torch.sin(2 * tone + phase[:, 0]) + 0.25 * torch.sin(3 * tone)
    gust = 0.6 + 0.4 * torch.sin(1.1 * time_s + phase[:, 1])
    syllables = (
        torch.sin(21.0 * time_s + phase[:, 2]) * torch.sin(2.3 * time_s + phase[:, 3])
    ).clamp(0)
    mixed: Tensor = (
        hiss * white
        + hum * humming
        + wind * gust * _band(white.roll(1, 1), 40.0, 400.0)
        + murmur * syllables * _band(white.roll(2, 1), 250.0, 1400.0)
    )
    if music.any():
        mixed = mixed + music * _melody(len(ambience), time_s, generator)
    if clatter.any():
        mixed = mixed + clatter * _clicks(white, time_s, generator)
    return mixed


def _melody(num_scenes: int, time_s: Tensor, generator: torch.Generator) -> Tensor:
    """Soft plucked notes, one every `_NOTE_S`: `[B, S]`, peaks about 1."""
    number = (time_s / _NOTE_S).long()
    notes = torch.empty(num_scenes, int(number[-1]) + 1, device=time_s.device)
    pitch_hz = 110.0 * 2.0 ** (notes.uniform_(0, 2, generator=generator).mul(12).round() / 12)
    since_s = time_s - number * _NOTE_S
    phase = 2 * torch.pi * pitch_hz[:, number] * since_s
    envelope = (since_s / 0.02).clamp(max=1.0) * torch.exp(-since_s * 6.0)
    return envelope * (torch.sin(phase) + 0.4 * torch.sin(2 * phase))


def _clicks(white: Tensor, time_s: Tensor, generator: torch.Generator) -> Tensor:
    """Short bursts of `white` `[B, S]`, irregular, about three a second."""
    number = (time_s / _CLICK_SLOT_S).long()
    slots = torch.empty(len(white), int(number[-1]) + 1, device=white.device)
    onset_s = slots.uniform_(0, 2 * _CLICK_SLOT_S, generator=generator)  # half of them never come
    since_s = time_s - number * _CLICK_SLOT_S - onset_s[:, number]
    envelope = torch.exp(-since_s.clamp(min=0) * 250.0) * (since_s >= 0)
    return 0.4 * envelope * white


def _band(noise: Tensor, low_hz: float, high_hz: float) -> Tensor:
    """Noise `[B, S]` limited to a band, at unit power."""
    spectrum = torch.fft.rfft(noise)
    hertz = torch.linspace(0, SAMPLE_RATE_HZ / 2, spectrum.shape[1], device=noise.device)
    keep = ((hertz >= low_hz) & (hertz <= high_hz)).float() / (1.0 + hertz / high_hz)
    filtered: Tensor = torch.fft.irfft(spectrum * keep, n=noise.shape[1])
    return filtered / filtered.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)


__all__ = ["SAMPLE_RATE_HZ", "SoundScript", "background", "event_wave", "mix", "pack_sounds"]
