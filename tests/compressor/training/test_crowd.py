from itertools import pairwise

import numpy as np
import pytest

from compressor.training.crowd import draw_crowd
from compressor.training.scenes import FRAME_SIZE_PX, OTHER, UNSEEN_PAIRS, Scene, Split
from compressor.training.timeline import CLEARANCE_PX


@pytest.fixture(scope="module")
def crowds() -> list[Scene]:
    return [draw_crowd(Split.TRAIN, seed, 4.0, nameless_share=0.5) for seed in range(30)]


def test_equal_seeds_give_equal_crowds() -> None:
    assert str(draw_crowd(Split.TRAIN, 1, 4.0)) == str(draw_crowd(Split.TRAIN, 1, 4.0))
    assert str(draw_crowd(Split.TRAIN, 1, 4.0)) != str(draw_crowd(Split.TRAIN, 2, 4.0))


def test_nine_things_stay_in_the_picture_and_apart(crowds: list[Scene]) -> None:
    for scene in crowds:
        for at_s in np.arange(0.0, 4.0, 0.5):
            centres = np.array([t.centre_px(np.array([at_s]))[0] for t in scene.things])
            assert np.all((centres > 0) & (centres < FRAME_SIZE_PX))
            gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e3 * np.eye(9)
            assert gaps.min() > 2 * CLEARANCE_PX


def test_half_of_the_things_have_colours_without_a_name(crowds: list[Scene]) -> None:
    things = [thing for scene in crowds for thing in scene.things]

    assert 0.4 < np.mean([thing.colour == OTHER for thing in things]) < 0.6
    assert not any((thing.colour, thing.shape) in UNSEEN_PAIRS for thing in things)


def test_sounds_and_words_never_run_into_each_other(crowds: list[Scene]) -> None:
    assert all(scene.sounds or scene.words for scene in crowds)
    for scene in crowds:
        ends = [(s.start_s, s.start_s + s.duration_s) for s in scene.sounds]
        ends += [(w.start_s, w.start_s + 0.6) for w in scene.words]
        ends.sort()
        assert all(later[0] >= earlier[1] for earlier, later in pairwise(ends))
