import numpy as np
import pytest
import torch

from compressor.omni.patches import PixelBudget, check_grid, resize
from service.media.pictures import Pictures, fit_picture
from tests.media import make_pixels

BUDGET = PixelBudget(4 * 28 * 28, 224 * 224)


def picture(value: int, height: int = 28, width: int = 28) -> torch.Tensor:
    return torch.full((3, height, width), value, dtype=torch.uint8)


def filled(*slots: int) -> Pictures:
    pictures = Pictures()
    for slot in slots:
        pictures.put(slot, slot * 0.5, picture(slot))
    return pictures


@pytest.mark.parametrize(
    ("slots", "grids", "holes"),
    [
        ((0, 1, 2, 3), [(0, 1), (2, 3)], []),
        ((0, 2), [(0, 0), (2, 2)], [range(1, 2), range(3, 4)]),
        ((1, 3), [(1, 1), (3, 3)], [range(1), range(2, 3)]),
        ((0, 1), [(0, 1), None], [range(2, 4)]),
        ((3,), [None, (3, 3)], [range(3)]),
        ((), [None, None], [range(4)]),
    ],
)
def test_grids_are_pairs_of_slots_and_a_single_picture_is_repeated(
    slots: tuple[int, ...], grids: list[tuple[int, int] | None], holes: list[range]
) -> None:
    pictures = filled(*slots)

    values = [
        None if grid is None else (int(grid[0, 0, 0, 0]), int(grid[1, 0, 0, 0]))
        for grid in pictures.grids()
    ]

    assert values == grids
    assert pictures.holes() == holes


def test_the_earliest_picture_of_a_slot_is_wanted() -> None:
    pictures = filled(0)

    assert pictures.wants(0, -0.1)
    assert not pictures.wants(0, 0.0)
    assert not pictures.wants(0, 0.3)
    assert pictures.wants(1, 0.6)


def test_grids_may_differ_in_size_but_not_their_two_pictures() -> None:
    pictures = Pictures()
    for slot, height in enumerate((28, 56, 84, 84)):
        pictures.put(slot, slot * 0.5, picture(slot, height))

    first, second = pictures.grids()

    assert first is not None
    assert second is not None
    assert (first.shape, second.shape) == ((2, 3, 28, 28), (2, 3, 84, 28))
    check_grid(first)
    assert first[1].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("height", "width"), [(480, 640), (1080, 1920), (28, 28), (10, 12), (641, 359)]
)
def test_a_picture_is_fitted_into_the_budget(height: int, width: int) -> None:
    fitted = fit_picture(make_pixels(7, height, width), BUDGET)

    assert fitted.shape[0] == 3
    assert all(side % 28 == 0 for side in fitted.shape[1:])
    assert BUDGET.min_pixels <= fitted[0].numel() <= BUDGET.max_pixels
    assert fitted.unique().tolist() == [7]


def test_fitting_is_the_processors_resize() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)

    fitted = fit_picture(pixels, BUDGET)

    planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    assert torch.equal(fitted, resize(planes[None], *BUDGET.fit(100, 300))[0])


def test_pixels_are_copied_and_may_be_read_only() -> None:
    pixels = make_pixels(9, 56, 56)
    pixels.flags.writeable = False

    fitted = fit_picture(pixels, BUDGET)

    assert fitted.data_ptr() != pixels.ctypes.data


def test_a_picture_that_is_too_thin_is_refused() -> None:
    with pytest.raises(ValueError, match="too thin"):
        fit_picture(make_pixels(0, 1, 1000), BUDGET)
