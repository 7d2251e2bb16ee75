from dataclasses import replace

import numpy as np
import pytest
import torch

from compressor.training.scenes import SOUNDS, Ambience, Scene, Sound, Split, Word
from compressor.training.sounds import SAMPLE_RATE_HZ, event_wave, mix, pack_sounds
from compressor.training.timeline import draw_scene

SILENT = Ambience(0.0, 0.0, 50.0, 0.0, 0.0)


def sound(kind: int, start_s: float = 1.0, duration_s: float = 0.2) -> Sound:
    return Sound(kind, start_s, duration_s, pitch=1.0, level=0.3, seed=4)


@pytest.fixture
def scene() -> Scene:
    drawn = draw_scene(Split.TRAIN, 0, 4.0)
    return replace(drawn, sounds=(sound(0), sound(1, 3.9)), words=(), ambience=SILENT)


@pytest.mark.parametrize("kind", range(len(SOUNDS)))
def test_events_have_their_length_and_level_and_fade(kind: int) -> None:
    wave = event_wave(sound(kind, duration_s=0.1))

    assert len(wave) == 1600
    assert np.abs(wave).max() == pytest.approx(0.3, rel=1e-4)
    assert wave[0] == wave[-1] == 0


def test_events_are_heard_at_their_onset_and_cut_at_the_end(scene: Scene) -> None:
    wave = mix(pack_sounds([scene]), torch.Generator().manual_seed(0), "cpu")[0]

    assert wave.shape == (4 * SAMPLE_RATE_HZ,)
    assert not wave[: SAMPLE_RATE_HZ - 1].any()
    assert wave[SAMPLE_RATE_HZ : SAMPLE_RATE_HZ + 3200].abs().max() > 0.2
    assert not wave[SAMPLE_RATE_HZ + 3200 : round(3.9 * SAMPLE_RATE_HZ)].any()
    assert wave[-400:].any()


def test_the_background_is_quieter_than_any_event(scene: Scene) -> None:
    loudest = Ambience(hiss=0.004, hum=0.02, hum_hz=60.0, wind=0.02, murmur=0.02)
    noisy = replace(scene, sounds=(), words=(), ambience=loudest)

    wave = mix(pack_sounds([noisy]), torch.Generator().manual_seed(0), "cpu")

    assert 0.005 < wave.square().mean().sqrt() < 0.05


def test_words_are_heard_at_their_onset(scene: Scene) -> None:
    spoken = replace(scene, sounds=(), words=(Word(0, 2.0, 1, 1.0, 0.4),))

    wave = mix(pack_sounds([spoken]), torch.Generator().manual_seed(0), "cpu")[0]

    assert not wave[: 2 * SAMPLE_RATE_HZ].any()
    assert wave[2 * SAMPLE_RATE_HZ :].abs().max() == pytest.approx(0.4)
    assert not wave[round(2.6 * SAMPLE_RATE_HZ) :].any()


@pytest.mark.parametrize("what", ["music", "clatter"])
def test_music_and_clatter_come_and_go_all_the_time(scene: Scene, what: str) -> None:
    noisy = replace(scene, sounds=(), ambience=replace(SILENT, **{what: 0.05}))

    wave = mix(pack_sounds([noisy, scene]), torch.Generator().manual_seed(0), "cpu")[0]

    per_second = wave.view(4, -1).abs().amax(1)
    assert torch.all((per_second > 0.01) & (per_second < 0.12))
    in_turns = wave.view(-1, 160).abs().amax(1)
    assert in_turns.min() < 0.3 * in_turns.max()


def test_mixing_is_reproducible(scene: Scene) -> None:
    noisy = replace(scene, ambience=Ambience(0.003, 0.01, 50.0, 0.01, 0.01))
    one, two = (
        mix(pack_sounds([noisy, scene]), torch.Generator().manual_seed(1), "cpu") for _ in range(2)
    )

    assert torch.equal(one, two)


def test_scenes_of_different_length_are_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="same duration"):
        pack_sounds([scene, draw_scene(Split.TRAIN, 0, 6.0)])
