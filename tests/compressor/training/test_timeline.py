from dataclasses import replace

import numpy as np
import pytest

from compressor.training.scenes import FRAME_SIZE_PX, OTHER, UNSEEN_PAIRS, Scene, Split
from compressor.training.timeline import (
    MAX_ALIVE,
    MIN_APPEARANCE_GAP_S,
    MIN_OFF_SCREEN_GAP_S,
    MIN_SOUND_GAP_S,
    MIN_WORD_GAP_S,
    draw_scene,
)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [
        draw_scene(Split.TRAIN, seed, (4.0, 8.0, 16.0, 60.0)[seed % 4], speech_share=0.5)
        for seed in range(80)
    ]


def test_equal_seeds_give_equal_scenes() -> None:
    assert str(draw_scene(Split.TEST, 3, 8.0)) == str(draw_scene(Split.TEST, 3, 8.0))
    assert str(draw_scene(Split.TEST, 3, 8.0)) != str(draw_scene(Split.TEST, 4, 8.0))


def test_a_scene_shorter_than_four_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 s"):
        draw_scene(Split.TRAIN, 0, 3.0)


def test_appearances_are_apart_and_few_at_a_time(scenes: list[Scene]) -> None:
    for scene in scenes:
        starts = [thing.start_s for thing in scene.things]
        assert all(np.diff(starts) >= MIN_APPEARANCE_GAP_S - 1e-9)
        for at_s in starts:
            assert sum(t.start_s <= at_s < t.end_s for t in scene.things) <= MAX_ALIVE


def test_sounds_never_run_into_each_other(scenes: list[Scene]) -> None:
    for scene in scenes:
        gaps = np.diff([sound.start_s for sound in scene.sounds])
        assert all(gaps >= MIN_SOUND_GAP_S - 0.07)


def test_off_screen_sounds_keep_away_from_appearances(scenes: list[Scene]) -> None:
    for scene in scenes:
        for sound in scene.sounds:
            gaps = [abs(sound.start_s - thing.start_s) for thing in scene.things]
            if sound.source is None and gaps:
                assert min(gaps) >= MIN_OFF_SCREEN_GAP_S


def test_nothing_is_heard_while_a_word_is_spoken(scenes: list[Scene]) -> None:
    assert any(scene.words for scene in scenes)
    for scene in scenes:
        starts = [word.start_s for word in scene.words]
        assert all(np.diff(starts) >= MIN_WORD_GAP_S)
        for start_s in starts:
            gaps = [sound.start_s - start_s for sound in scene.sounds]
            assert not any(-MIN_SOUND_GAP_S < gap < MIN_WORD_GAP_S for gap in gaps)
            assert start_s < scene.duration_s - MIN_WORD_GAP_S


def test_things_stay_in_the_picture_and_apart_unless_they_touch(scenes: list[Scene]) -> None:
    for scene in scenes:
        for at_s in np.arange(0.0, scene.duration_s, 0.5):
            alive = [t for t in scene.things if t.start_s <= at_s < t.end_s]
            centres = np.array([t.centre_px(np.array([at_s]))[0] for t in alive]).reshape(-1, 2)
            assert np.all((centres > 0) & (centres < FRAME_SIZE_PX))
            for i in range(len(alive)):
                for j in range(i):
                    gap = np.linalg.norm(centres[i] - centres[j])
                    touching = alive[i].touches is not None or alive[j].touches is not None
                    reach = alive[i].radius_px + alive[j].radius_px
                    assert gap > reach * (0.9 if touching else 1.0)


def test_a_touch_ends_at_its_target(scenes: list[Scene]) -> None:
    touches = [(s, t) for s in scenes for t in s.things if t.touches is not None]

    assert touches
    for scene, thing in touches:
        target = scene.things[thing.touches or 0]
        gap = np.linalg.norm(thing.centre_px(np.array([thing.rest_s]))[0] - target.start_px)
        assert gap == pytest.approx(0.92 * (thing.radius_px + target.radius_px))


def test_unseen_pairs_are_for_the_test_split_alone(scenes: list[Scene]) -> None:
    test_scenes = [draw_scene(Split.TEST, seed, 8.0) for seed in range(40)]

    assert not any((t.colour, t.shape) in UNSEEN_PAIRS for s in scenes for t in s.things)
    assert any((t.colour, t.shape) in UNSEEN_PAIRS for s in test_scenes for t in s.things)


def test_nameless_colours_come_on_demand() -> None:
    plain = [draw_scene(Split.TRAIN, seed, 8.0) for seed in range(20)]
    mixed = [draw_scene(Split.TRAIN, seed, 8.0, nameless_share=0.5) for seed in range(20)]

    assert not any(thing.colour == OTHER for scene in plain for thing in scene.things)
    assert any(thing.colour == OTHER for scene in mixed for thing in scene.things)


def test_speech_comes_on_demand() -> None:
    silent = [draw_scene(Split.TRAIN, seed, 16.0) for seed in range(20)]
    spoken = [draw_scene(Split.TRAIN, seed, 16.0, speech_share=1.0) for seed in range(20)]

    assert not any(scene.words for scene in silent)
    assert sum(bool(scene.words) for scene in spoken) > 15
    assert [replace(scene, words=()).sounds for scene in spoken] == [s.sounds for s in silent]


def test_music_and_clicks_come_on_demand() -> None:
    quiet = [draw_scene(Split.TRAIN, seed, 8.0).ambience for seed in range(20)]
    noisy = [draw_scene(Split.TRAIN, seed, 8.0, noise_share=1.0).ambience for seed in range(20)]

    assert not any(ambience.music or ambience.clatter for ambience in quiet)
    assert any(ambience.music for ambience in noisy)
    assert any(ambience.clatter for ambience in noisy)
    assert [ambience.hiss for ambience in noisy] == [ambience.hiss for ambience in quiet]
