import numpy as np
import pytest

from clients.sdk.media.synthetic import (
    COLOURS,
    HEIGHT_PX,
    TONES_HZ,
    WIDTH_PX,
    Scene,
    open_synthetic,
)


def test_scene_is_a_function_of_time_and_seed() -> None:
    one, same, other = Scene(1), Scene(1), Scene(2)

    assert np.array_equal(one.picture(7.3), same.picture(7.3))
    assert np.array_equal(one.sound(48_000, 960), same.sound(48_000, 960))
    assert not np.array_equal(one.picture(7.3), other.picture(7.3))


@pytest.mark.parametrize("time_s", [0.0, 3.0, 17.4, 3600.0])
def test_picture_shows_the_shape_in_its_colour(time_s: float) -> None:
    scene = Scene()
    colour = COLOURS[scene.act(time_s).colour]

    pixels = scene.picture(time_s)

    assert pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert np.all(pixels == colour, axis=2).sum() > 1000


def test_shape_moves() -> None:
    scene = Scene()
    colour = COLOURS[scene.act(0.0).colour]

    def centre_px(time_s: float) -> float:
        columns = np.argwhere(np.all(scene.picture(time_s) == colour, axis=2))[:, 1]
        return float(columns.mean())

    assert abs(centre_px(0.5) - centre_px(0.0)) > 20


def test_tone_sounds_in_the_middle_of_its_act() -> None:
    scene = Scene()
    acts = [scene.act(2.0 * n) for n in range(40)]
    assert {act.tone for act in acts} == set(TONES_HZ)

    for n, act in enumerate(acts):
        wave = scene.sound(n * 96_000, 96_000).astype(float)
        assert not wave[:20_000].any()
        assert not wave[76_000:].any()
        middle = np.abs(np.fft.rfft(wave[24_000:72_000]))
        loudest_hz = float(middle.argmax()) if wave.any() else 0.0
        assert loudest_hz == pytest.approx(TONES_HZ[act.tone], abs=2)


def test_sound_is_the_same_in_pieces() -> None:
    scene = Scene()

    pieces = [scene.sound(start, 960) for start in range(0, 96_000, 960)]

    assert np.array_equal(np.concatenate(pieces), scene.sound(0, 96_000))


def test_source_has_both_tracks_on_one_time_line() -> None:
    with open_synthetic() as source:
        assert source.video is not None
        assert source.audio is not None
        pictures = [source.video.read() for _ in range(30)]
        sounds = [source.audio.read() for _ in range(100)]

    assert [round(f.time, 4) for f in pictures if f] == [round(i / 15, 4) for i in range(30)]
    assert [f.time for f in sounds if f] == pytest.approx([i * 0.02 for i in range(100)])
    assert not source.is_live
