from dataclasses import replace

import numpy as np
import pytest
import torch

from compressor.training.scenes import COLOURS, OTHER, Camera, Scene, Split, Thing
from compressor.training.timeline import draw_scene
from compressor.training.visuals import COLOUR_RGB, Renderer, pack_frames, shake

STILL = Camera((0.0, 10.0, 0.0), (1.0, 1.0, 1.0), 0.0, 0.0, (0.0, 0.0, 0.0, 0.0))


@pytest.fixture
def scene() -> Scene:
    drawn = draw_scene(Split.TRAIN, 1, 8.0)
    thing = Thing(0, 0, 14.0, 2.0, 5.0, (100.0, 60.0), rest_s=2.0)
    backdrop = replace(drawn.backdrops[0], props=np.zeros((0, 7), np.float32))
    return replace(drawn, camera=STILL, things=(thing,), backdrops=(backdrop,))


def render(scene: Scene, *times_s: float) -> torch.Tensor:
    return Renderer().render(pack_frames([scene], [np.array(times_s)]))


def test_a_thing_shows_its_colour_while_it_lives(scene: Scene) -> None:
    before, during, after = render(scene, 1.9, 2.0, 5.0)[:, :, 100, 60].int()

    red = torch.tensor(COLOUR_RGB["red"])
    assert (during - red).abs().max() <= 19
    assert (before - red).abs().max() > 30
    assert torch.equal(before, after)


@pytest.mark.parametrize("shape", range(5))
def test_shapes_differ_but_stay_within_two_tokens(scene: Scene, shape: int) -> None:
    thing = replace(scene.things[0], shape=shape)

    empty, shown = render(replace(scene, things=(thing,)), 0.0, 3.0).int()

    ys, xs = torch.nonzero((shown - empty).abs().sum(0) > 10, as_tuple=True)
    assert ys.min() >= 100 - 15
    assert ys.max() <= 100 + 15
    assert xs.min() >= 60 - 15
    assert xs.max() <= 60 + 15
    assert 150 < len(ys) < 30 * 30


def test_packing_scenes_together_changes_no_picture(scene: Scene) -> None:
    other = draw_scene(Split.TRAIN, 2, 8.0)
    times = np.array([0.5, 3.0])

    together = Renderer().render(pack_frames([scene, other], [times, times]))

    assert torch.equal(together[:2], render(scene, 0.5, 3.0))
    assert torch.equal(together[2:], render(other, 0.5, 3.0))


def test_a_shaking_camera_moves_everything_alike(scene: Scene) -> None:
    shaky = replace(scene, camera=replace(STILL, shake_px=3.0))
    (dy, dx), *_ = shake(shaky.camera, np.array([3.0])).tolist()
    still, moved = render(scene, 3.0)[0], render(shaky, 3.0)[0]

    expected = still.roll((-dy, -dx), (1, 2))[:, 20:-20, 20:-20]

    assert (dy, dx) != (0, 0)
    assert torch.equal(moved[:, 20:-20, 20:-20], expected)


def test_a_cut_changes_the_backdrop(scene: Scene) -> None:
    later = replace(draw_scene(Split.TRAIN, 3, 8.0).backdrops[0], start_s=6.0)
    cut = replace(scene, backdrops=(*scene.backdrops, later))

    first, second, third = render(cut, 5.0, 5.5, 6.0).float()

    assert (first - second).abs().mean() < 1
    assert (second - third).abs().mean() > 5


def test_sensor_noise_is_reproducible(scene: Scene) -> None:
    noisy = replace(scene, camera=replace(STILL, noise=4.0))
    script = pack_frames([noisy], [np.array([0.0, 0.5])])

    one, two = (Renderer().render(script, torch.Generator().manual_seed(3)) for _ in range(2))

    assert torch.equal(one, two)
    assert (one[0].float() - one[1].float()).std() > 3


def test_a_nameless_colour_is_like_none_that_has_a_name(scene: Scene) -> None:
    named = torch.tensor([COLOUR_RGB[name] for name in COLOURS])
    for seed in range(10):
        thing = replace(scene.things[0], colour=OTHER)
        shown = render(replace(scene, seed=seed, things=(thing,)), 3.0)[0, :, 100, 60]
        assert (named - shown.int()).float().norm(dim=1).min() > 44


def test_some_frames_alone_look_as_among_all() -> None:
    scenes = [draw_scene(Split.TRAIN, seed, 8.0) for seed in (1, 4)]
    script = pack_frames(scenes, [np.arange(16) / 2] * 2)
    only = np.array([0, 5, 6, 17, 31])

    every, some = (
        Renderer().render(script, torch.Generator().manual_seed(3), frames)
        for frames in (None, only)
    )

    assert torch.equal(some, every[only])
    assert not torch.equal(every[0], every[1])
