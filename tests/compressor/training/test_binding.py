from dataclasses import replace

import numpy as np
import pytest

from compressor.training.binding import HEADS, IGNORED, bound_labels
from compressor.training.scenes import Camera, Scene, Sound, Split, Thing, Word
from compressor.training.timeline import draw_scene

CAMERA = Camera((0.0, 10.0, 0.0), (1.0, 1.0, 1.0), 0.0, 0.0, (0.0, 0.0, 0.0, 0.0))
TIMES = np.arange(16) / 2
ROW = {name: row for row, name in enumerate(HEADS)}
# third row of tokens, second column
FIRST = Thing(0, 1, 12.0, 0.8, 6.0, (70.0, 40.0), rest_s=0.8)
SECOND = Thing(2, 1, 12.0, 3.8, 7.0, (150.0, 150.0), rest_s=3.8)


@pytest.fixture
def scene() -> Scene:
    return replace(
        draw_scene(Split.TRAIN, 0, 8.0), camera=CAMERA, sounds=(), words=(), things=(FIRST, SECOND)
    )


def test_a_thing_is_new_once(scene: Scene) -> None:
    labels = bound_labels(scene, TIMES)

    # FIRST is seen from frame 2 on: second grid of the first chunk
    assert labels[ROW["is_new"], 64 + 2 * 8 + 1] == 1
    assert labels[ROW["is_new"], 178 + 2 * 8 + 1] == 0
    assert (labels[ROW["is_new"]] == 1).sum() == 2


def test_a_new_thing_knows_what_came_before_it(scene: Scene) -> None:
    labels = bound_labels(scene, TIMES)

    # SECOND is seen from frame 8 on: first grid of the third chunk
    debut = labels[:, 2 * 178 + 5 * 8 + 5]
    assert debut[ROW["previous_colour"]] == 1 + FIRST.colour
    assert debut[ROW["ordinal"]] == 2
    assert debut[ROW["ordinal_in_colour"]] == 1
    assert debut[ROW["ordinal_in_shape"]] == 2
    assert debut[ROW["earlier_sound"]] == 0


def test_a_sound_is_bound_where_its_thing_has_been_seen(scene: Scene) -> None:
    sound = Sound(3, 0.82, 0.16, 1.0, 0.3, 0, source=0)

    labels = bound_labels(replace(scene, sounds=(sound,)), TIMES)

    # token 22 (0.88 s) of the first chunk's audio; the debut is in the same chunk, but before it
    assert labels[ROW["source_colour"], 128 + 22] == 1 + FIRST.colour
    assert labels[ROW["source_shape"], 128 + 22] == 1 + FIRST.shape
    assert labels[ROW["earlier_sound"], 64 + 2 * 8 + 1] == IGNORED


def test_a_thing_is_bound_to_a_sound_of_an_earlier_chunk(scene: Scene) -> None:
    sound = Sound(3, 3.85, 0.1, 1.0, 0.3, 0, source=1)

    labels = bound_labels(replace(scene, sounds=(sound,)), TIMES)

    assert labels[ROW["earlier_sound"], 2 * 178 + 5 * 8 + 5] == 1 + 3
    assert (labels[ROW["source_colour"]] == IGNORED).all()


def test_an_off_screen_sound_has_no_source_but_company(scene: Scene) -> None:
    sounds = (Sound(0, 2.4, 0.1, 1.0, 0.3, 0), Sound(1, 5.0, 0.1, 1.0, 0.3, 0))

    labels = bound_labels(replace(scene, sounds=sounds), TIMES)

    alone, crowded = 178 + 128 + 11, 2 * 178 + 128 + 25
    assert labels[ROW["source_colour"], alone] == 0
    assert labels[ROW["visible_colour"], alone] == 1 + FIRST.colour
    assert labels[ROW["visible_colour"], crowded] == IGNORED


def test_a_word_has_company_and_a_word_before_it_but_no_source(scene: Scene) -> None:
    words = (Word(3, 2.4, 0, 1.0, 0.3), Word(5, 6.4, 0, 1.0, 0.3))
    labels = bound_labels(replace(scene, words=words), TIMES)

    first, second = labels[:, 178 + 128 + 11], labels[:, 3 * 178 + 128 + 11]
    assert first[ROW["visible_colour"]] == 1 + FIRST.colour
    assert (first[ROW["word"]], first[ROW["previous_word"]]) == (1 + 3, 0)
    assert (second[ROW["word"]], second[ROW["previous_word"]]) == (1 + 5, 1 + 3)
    assert (labels[ROW["source_colour"]] == IGNORED).all()


def test_labels_stay_within_their_heads() -> None:
    for seed in range(40):
        scene = draw_scene(Split.TRAIN, seed, 16.0, nameless_share=0.3)
        labels = bound_labels(scene, np.arange(32) / 2)
        for row, size in zip(labels, HEADS.values(), strict=True):
            assert row.max() < size
            assert row[row != IGNORED].min(initial=0) >= 0
