import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)

from compressor.omni.patches import PixelBudget, grid_tokens, patchify, resize

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def smooth(height: int, width: int) -> Tensor:
    """A picture of waves, `[3, H, W]`: resizing it makes sense, unlike noise."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    waves = [torch.sin(x / 17 + k) * torch.cos(y / 23 - k) for k in range(3)]
    return (torch.stack(waves) * 127 + 128).to(torch.uint8)


def naive_patches(grid: Tensor) -> Tensor:
    """One patch after the other, one value after the other."""
    _, _, height, width = grid.shape
    patches = []
    for top in range(0, height, 28):
        for left in range(0, width, 28):
            for y in (top, top + 14):
                for x in (left, left + 14):
                    values = [
                        (grid[frame, channel, y : y + 14, x : x + 14] / 255.0 - MEAN[channel])
                        / DEVIATION[channel]
                        for channel in range(3)
                        for frame in range(2)
                    ]
                    patches.append(torch.cat([value.flatten() for value in values]))
    return torch.stack(patches)


@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    budget=st.sampled_from([PixelBudget(), PixelBudget(3136, 50_176), PixelBudget(1, 100_352)]),
)
def test_fit_equals_upstream(height: int, width: int, budget: PixelBudget) -> None:
    try:
        expected = smart_resize(
            height, width, min_pixels=budget.min_pixels, max_pixels=budget.max_pixels
        )
    except ValueError:
        expected = None
    except ZeroDivisionError:
        return

    if expected is None:
        with pytest.raises(ValueError, match="too thin"):
            budget.fit(height, width)
    elif min(expected) > 0:
        assert budget.fit(height, width) == expected


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        pytest.param((720, 1280), (560, 1008), id="720p is shrunk to the cap"),
        pytest.param((224, 224), (336, 336), id="small is grown to the floor"),
        pytest.param((360, 640), (364, 644), id="in between is rounded"),
    ],
)
def test_fit_of_common_sizes(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert PixelBudget().fit(*size) == fitted


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (1, 201)])
def test_impossible_picture_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="too thin"):
        PixelBudget().fit(*size)


@given(height=st.integers(1, 200), width=st.integers(1, 200))
def test_a_fit_always_has_a_token(height: int, width: int) -> None:
    fitted = PixelBudget(1, 784).fit(height, width)

    assert all(side >= 28 and side % 28 == 0 for side in fitted)


@pytest.mark.parametrize("bounds", [(0, 784), (2000, 1000), (1, 783)])
def test_impossible_budget_is_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="max_pixels"):
        PixelBudget(*bounds)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (100, 90), (720, 405)])
def test_pictures_become_what_the_real_processor_makes(height: int, width: int) -> None:
    picture, budget = smooth(height, width), PixelBudget()

    resized = resize(picture[None].expand(2, -1, -1, -1), *budget.fit(height, width))
    patches = patchify(resized)

    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about modes of arrays
        expected = processor(images=[picture.permute(1, 2, 0).numpy()], return_tensors="pt")
    rows, columns = grid_tokens(resized)
    assert expected["image_grid_thw"].tolist() == [[1, 2 * rows, 2 * columns]]
    # Pillow and torch both round by up to one byte, 0.015, away from exact arithmetic
    difference = (patches - expected["pixel_values"]).abs()
    assert difference.max() < 0.031
    assert (difference > 1e-5).float().mean() < 0.02


def test_patches_of_a_picture_of_fitting_size_equal_the_real_processors() -> None:
    picture = noise(3, 84, 56)

    processor = Qwen2VLImageProcessorPil(do_resize=False)
    expected = processor(images=[picture.permute(1, 2, 0).numpy()], return_tensors="pt")

    patches = patchify(picture[None].expand(2, -1, -1, -1))
    torch.testing.assert_close(patches, expected["pixel_values"], rtol=0, atol=1e-6)


def test_two_different_frames_are_interleaved_by_channel() -> None:
    grid = noise(2, 3, 84, 56)

    torch.testing.assert_close(patchify(grid), naive_patches(grid), rtol=0, atol=1e-6)


def test_layout_in_memory_does_not_matter() -> None:
    grid = noise(2, 84, 56, 3)

    patches = patchify(grid.permute(0, 3, 1, 2))

    assert torch.equal(patches, patchify(grid.permute(0, 3, 1, 2).contiguous()))


def test_resize_to_the_same_size_is_the_identity() -> None:
    frames = noise(2, 3, 56, 56)

    assert resize(frames, 56, 56) is frames


def test_resize_stays_in_bytes() -> None:
    resized = resize(noise(2, 3, 100, 60), 56, 28)

    assert resized.dtype == torch.uint8
    assert resized.shape == (2, 3, 56, 28)


@pytest.mark.parametrize(
    "grid",
    [
        noise(1, 3, 56, 56),
        noise(2, 4, 56, 56),
        noise(2, 3, 56, 50),
        noise(2, 3, 0, 28),
        noise(2, 3, 56),
        noise(2, 3, 56, 56).float(),
    ],
    ids=["one frame", "alpha", "width", "empty", "no width", "dtype"],
)
def test_wrong_grid_is_named(grid: Tensor) -> None:
    with pytest.raises(ValueError, match=r"a grid must be .*, got \["):
        patchify(grid)
