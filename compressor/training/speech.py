"""Spoken words: recordings that are shipped, and how they are made again with espeak-ng.

    python -m compressor.training.speech

Scenes always play the recordings, so that equal seeds sound the same on every machine, whatever
version of espeak-ng it has. Knows nothing about scenes but the words.
"""

import io
import shutil
import subprocess
import wave as riff
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.training.scenes import NUM_VOICES, WORDS, Word

SAMPLE_RATE_HZ = 16_000
RECORDINGS = Path(__file__).parent / "words.npz"
VOICES = ("en-us", "en-us+f3", "en-gb", "en-gb-scotland+m3", "en-us+f5")
_WORDS_PER_MINUTE = 190
_QUIET = 0.02  # of the peak: what precedes and follows a word
_FADE_S = 0.01


def word_wave(word: Word) -> NDArray[np.float32]:
    """Play one word: float32 `[S]` at 16 kHz, peak `word.level`."""
    spoken = _recordings()[_name(word.index, word.voice)].astype(np.float32)
    places = np.arange(0.0, len(spoken) - 1, word.rate)
    played: NDArray[np.float64] = np.interp(places, np.arange(len(spoken)), spoken)
    wave: NDArray[np.float32] = (played * (word.level / np.abs(played).max())).astype(np.float32)
    return wave


def word_s(word: Word) -> float:
    """How long one word lasts as it is spoken."""
    return len(word_wave(word)) / SAMPLE_RATE_HZ


def record(path: Path) -> None:
    """Let espeak-ng speak every word in every voice, and write them all.

    Raises:
        FileNotFoundError: espeak-ng is not installed.
    """
    if shutil.which("espeak-ng") is None:
        raise FileNotFoundError("espeak-ng is not installed: apt-get install espeak-ng")
    spoken: dict[str, Any] = {  # Any: numpy's stub gives the option among them another type
        _name(index, voice): _trim(_speak(word, VOICES[voice]))
        for index, word in enumerate(WORDS)
        for voice in range(NUM_VOICES)
    }
    np.savez_compressed(path, **spoken)


def _name(index: int, voice: int) -> str:
    return f"{WORDS[index]}_{voice}"


@cache
def _recordings() -> dict[str, NDArray[np.int8]]:
    with np.load(RECORDINGS, allow_pickle=False) as stored:
        return dict(stored)


def _speak(word: str, voice: str) -> NDArray[np.float64]:
    command = ["espeak-ng", "-v", voice, "-s", str(_WORDS_PER_MINUTE), "--stdout", word]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    with riff.open(io.BytesIO(spoken)) as file:
        rate_hz = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    places = np.arange(0.0, len(samples) - 1, rate_hz / SAMPLE_RATE_HZ)
    smooth = np.convolve(samples, [0.25, 0.5, 0.25], mode="same")
    resampled: NDArray[np.float64] = np.interp(places, np.arange(len(smooth)), smooth)
    return resampled


def _trim(samples: NDArray[np.float64]) -> NDArray[np.int8]:
    loud = np.flatnonzero(np.abs(samples) > _QUIET * np.abs(samples).max())
    spoken = samples[loud[0] : loud[-1] + 1].copy()
    ramp = np.linspace(0.0, 1.0, round(_FADE_S * SAMPLE_RATE_HZ))
    spoken[: len(ramp)] *= ramp
    spoken[-len(ramp) :] *= ramp[::-1]
    stored: NDArray[np.int8] = np.rint(spoken / np.abs(spoken).max() * 127).astype(np.int8)
    return stored


if __name__ == "__main__":
    record(RECORDINGS)

__all__ = ["RECORDINGS", "VOICES", "record", "word_s", "word_wave"]
