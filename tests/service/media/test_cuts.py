import pytest
import torch
from torch import Tensor

from service.media.cuts import CutDetector


def picture(seed: int, brightness: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 4, generator=generator) * 120 + 60 + brightness
    fine = torch.nn.functional.interpolate(coarse, (56, 84), mode="bilinear")
    return fine[0].clamp(0, 255).to(torch.uint8)


def grid(*seeds: int, brightness: float = 0.0) -> Tensor:
    return torch.stack([picture(seed, brightness) for seed in seeds])


def test_new_scene_is_found_where_it_begins() -> None:
    detector = CutDetector()

    assert detector.see(0, (grid(1, 1), grid(1, 1))) == ()
    assert detector.see(1, (grid(1, 2), grid(2, 2))) == (2.5,)
    assert detector.see(2, (grid(3, 3), None)) == (4.0,)


def test_first_picture_is_no_cut() -> None:
    assert CutDetector().see(5, (grid(1, 1),)) == ()


def test_light_that_changes_is_no_cut() -> None:
    detector = CutDetector()
    detector.see(0, (grid(1, 1),))

    assert detector.see(1, (grid(1, 1, brightness=40.0),)) == ()


def test_cut_is_found_behind_a_gap() -> None:
    detector = CutDetector()
    detector.see(0, (grid(1, 1),))

    assert detector.see(1, (None, None)) == ()
    assert detector.see(2, (grid(2, 2),)) == (4.0,)


@pytest.mark.parametrize("size", [(28, 28), (56, 84), (112, 56)])
def test_change_of_size_is_compared_all_the_same(size: tuple[int, int]) -> None:
    detector = CutDetector()
    detector.see(0, (grid(1, 1),))
    resized = torch.nn.functional.interpolate(grid(1, 1).float(), size, mode="area")

    assert detector.see(1, (resized.to(torch.uint8),)) == ()


def test_restless_picture_cuts_rarely() -> None:
    detector = CutDetector()

    cuts = [detector.see(index, (grid(2 * index, 2 * index + 1),)) for index in range(20)]

    assert sum(map(len, cuts)) < 8
