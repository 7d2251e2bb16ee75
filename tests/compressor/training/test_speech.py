from pathlib import Path

import numpy as np
import pytest

from compressor.training import speech
from compressor.training.scenes import NUM_VOICES, WORDS, Word
from compressor.training.sounds import MAX_EVENT_SAMPLES
from compressor.training.speech import RECORDINGS, SAMPLE_RATE_HZ, VOICES, record, word_s, word_wave


def word(index: int, voice: int, rate: float = 1.0) -> Word:
    return Word(index, 0.0, voice, rate, level=0.3)


@pytest.mark.parametrize("index", range(len(WORDS)))
def test_every_word_is_recorded_in_every_voice(index: int) -> None:
    waves = [word_wave(word(index, voice)) for voice in range(NUM_VOICES)]

    assert len(VOICES) == NUM_VOICES
    for wave in waves:
        assert 0.3 < len(wave) / SAMPLE_RATE_HZ < 0.6
        assert np.abs(wave).max() == pytest.approx(0.3)
    assert len({wave.tobytes() for wave in waves}) == NUM_VOICES


def test_a_slower_word_lasts_longer_and_still_fits() -> None:
    slow, fast = word_wave(word(0, 4, 0.9)), word_wave(word(0, 4, 1.15))

    assert len(slow) == pytest.approx(len(fast) * 1.15 / 0.9, abs=2)
    assert len(slow) <= MAX_EVENT_SAMPLES
    assert word_s(word(0, 4, 0.9)) == len(slow) / SAMPLE_RATE_HZ


def test_espeak_makes_the_recordings_again(tmp_path: Path) -> None:
    record(tmp_path / "words.npz")

    with np.load(tmp_path / "words.npz") as made, np.load(RECORDINGS) as shipped:
        assert sorted(made) == sorted(shipped)
        for name in made:
            assert made[name].dtype == np.int8
            assert len(made[name]) == pytest.approx(len(shipped[name]), rel=0.3)


def test_without_espeak_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech.shutil, "which", lambda _: None)

    with pytest.raises(FileNotFoundError, match="apt-get install espeak-ng"):
        record(tmp_path / "words.npz")
