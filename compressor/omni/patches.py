"""Pictures to the patches that the vision tower takes. Knows nothing about time or video.

Source: the image processor of Qwen2-VL, arXiv 2409.12191, which Qwen2.5-Omni shares.
"""

from dataclasses import dataclass
from math import ceil, floor, sqrt

import torch
from torch import Tensor
from torch.nn import functional

PATCH_PX = 14
MERGE = 2  # patches per side of a token
TOKEN_PX = PATCH_PX * MERGE
FRAMES_PER_GRID = 2
PATCH_VALUES = 3 * FRAMES_PER_GRID * PATCH_PX * PATCH_PX  # 1176
MAX_ASPECT_RATIO = 200

# mean and deviation of CLIP's training pictures, arXiv 2103.00020, in steps of a byte
_MEAN = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)
_DEVIATION = (0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255)


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """How many pixels a frame may have after resizing; the defaults are Qwen2.5-Omni's own.

    Raises:
        ValueError: If they are not in order, or the largest is under one token.
    """

    min_pixels: int = 128 * TOKEN_PX * TOKEN_PX
    max_pixels: int = 768 * TOKEN_PX * TOKEN_PX

    def __post_init__(self) -> None:
        if not 0 < self.min_pixels <= self.max_pixels or self.max_pixels < TOKEN_PX * TOKEN_PX:
            raise ValueError(
                f"min_pixels {self.min_pixels} must be above 0 and at most max_pixels "
                f"{self.max_pixels}, which must be {TOKEN_PX * TOKEN_PX} or more"
            )

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Return the size, in multiples of 28 px, that a picture of this size is resized to.

        The aspect ratio is kept as well as the multiples allow.

        Raises:
            ValueError: If a side is zero, or one is more than 200 times the other.
        """
        if min(height, width) < 1 or max(height, width) > MAX_ASPECT_RATIO * min(height, width):
            raise ValueError(
                f"a picture of {height} x {width} is too thin: one side may be at most "
                f"{MAX_ASPECT_RATIO} times the other"
            )
        rows, columns = round(height / TOKEN_PX), round(width / TOKEN_PX)
        pixels = rows * columns * TOKEN_PX * TOKEN_PX
        if pixels > self.max_pixels:
            shrink = sqrt(height * width / self.max_pixels)
            rows = max(1, floor(height / shrink / TOKEN_PX))
            columns = max(1, floor(width / shrink / TOKEN_PX))
        elif pixels < self.min_pixels:
            grow = sqrt(self.min_pixels / (height * width))
            rows, columns = ceil(height * grow / TOKEN_PX), ceil(width * grow / TOKEN_PX)
        return rows * TOKEN_PX, columns * TOKEN_PX


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize frames, bicubic with antialiasing, rounded to bytes as the processor does.

    Args:
        frames: `[T, 3, H, W]` uint8.
        height: New height, pixels.
        width: New width, pixels.

    Returns:
        `[T, 3, height, width]` uint8; the input itself where nothing changes.
    """
    if frames.shape[-2:] == (height, width):
        return frames
    return functional.interpolate(
        frames, (height, width), mode="bicubic", antialias=True, align_corners=False
    )


def patchify(grid: Tensor) -> Tensor:
    """Cut one temporal grid into normalised patches, in the order that the vision tower takes.

    Args:
        grid: `[2, 3, H, W]` uint8, H and W multiples of 28.

    Returns:
        `[H / 14 * W / 14, 1176]` float32 on the same device. The four patches of a token follow
        each other; tokens are in raster order.

    Raises:
        ValueError: On another shape or dtype.
    """
    check_grid(grid)
    rows, columns = grid_tokens(grid)
    cut = grid.reshape(FRAMES_PER_GRID, 3, rows, MERGE, PATCH_PX, columns, MERGE, PATCH_PX)
    # token row and column, patch row and column, channel, frame, y, x
    ordered = cut.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(-1, 3, PATCH_VALUES // 3)
    mean = torch.tensor(_MEAN, device=grid.device)[:, None]
    deviation = torch.tensor(_DEVIATION, device=grid.device)[:, None]
    return ordered.float().sub_(mean).div_(deviation).flatten(1)


def grid_tokens(grid: Tensor) -> tuple[int, int]:
    """Return (rows, columns) of merged tokens of a grid `[2, 3, H, W]`."""
    return grid.shape[-2] // TOKEN_PX, grid.shape[-1] // TOKEN_PX


def check_grid(grid: Tensor) -> None:
    """Raise ValueError unless the grid is `[2, 3, H, W]` uint8, H and W multiples of 28."""
    shape = list(grid.shape)
    is_right = shape[:2] == [FRAMES_PER_GRID, 3] and len(shape) == 4 and all(shape)
    if not is_right or any(side % TOKEN_PX for side in shape[2:]) or grid.dtype != torch.uint8:
        raise ValueError(
            f"a grid must be [2, 3, H, W] uint8, H and W multiples of {TOKEN_PX}, "
            f"got {shape} {grid.dtype}"
        )


__all__ = [
    "FRAMES_PER_GRID",
    "MAX_ASPECT_RATIO",
    "MERGE",
    "PATCH_PX",
    "PATCH_VALUES",
    "TOKEN_PX",
    "PixelBudget",
    "check_grid",
    "grid_tokens",
    "patchify",
    "resize",
]
