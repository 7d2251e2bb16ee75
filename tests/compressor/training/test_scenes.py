import numpy as np

from compressor.training.scenes import Split, Thing, scene_rng


def test_a_thing_moves_until_it_rests() -> None:
    thing = Thing(0, 0, 12.0, 1.0, 9.0, (50.0, 60.0), velocity_px_s=(10.0, -5.0), rest_s=3.0)

    centres = thing.centre_px(np.array([0.0, 1.0, 2.0, 3.0, 8.0]))

    assert centres.tolist() == [[50, 60], [50, 60], [60, 55], [70, 50], [70, 50]]


def test_splits_draw_from_different_streams() -> None:
    drawn = {split: scene_rng(split, 5).integers(2**60) for split in Split}

    assert len(set(drawn.values())) == len(Split)
    assert scene_rng(Split.TEST, 5).integers(2**60) == drawn[Split.TEST]
