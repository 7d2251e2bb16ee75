"""The pictures of a chunk: four slots, two temporal grids. Pure; knows nothing about codecs."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compressor.omni.patches import PixelBudget, resize
from service.media.chunk import FRAMES_PER_GRID, GRIDS_PER_CHUNK
from service.media.sampler import SLOTS_PER_CHUNK


class Pictures:
    """Pictures by slot, the earliest of each, already in the size they are encoded in."""

    def __init__(self) -> None:
        self._slots: dict[int, tuple[float, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def wants(self, slot: int, pts_s: float) -> bool:
        """Whether a picture at `pts_s` would be used: its slot (0 to 3) has no earlier one."""
        held = self._slots.get(slot)
        return held is None or pts_s < held[0]

    def put(self, slot: int, pts_s: float, pixels: Tensor) -> None:
        """Set the picture of a slot: `[3, H, W]` uint8, sides multiples of 28."""
        self._slots[slot] = (pts_s, pixels)

    def grids(self) -> tuple[Tensor | None, ...]:
        """The chunk's grids, each `[2, 3, H, W]` or None.

        A grid with one picture repeats it. Two pictures of different sizes, where the resolution
        changed within the second, become one size: the first's.
        """
        firsts = range(0, SLOTS_PER_CHUNK, FRAMES_PER_GRID)
        return tuple(self._grid(range(first, first + FRAMES_PER_GRID)) for first in firsts)

    def holes(self) -> list[range]:
        """Slots without a picture, as runs."""
        edges = [
            slot for slot in range(SLOTS_PER_CHUNK + 1) if self._has(slot) != self._has(slot - 1)
        ]
        return [range(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]

    def _has(self, slot: int) -> bool:
        return slot in self._slots or not 0 <= slot < SLOTS_PER_CHUNK

    def _grid(self, slots: range) -> Tensor | None:
        found = [self._slots[slot][1] for slot in slots if slot in self._slots]
        if not found:
            return None
        height, width = found[0].shape[1:]
        alike = [resize(picture[None], height, width)[0] for picture in found]
        return torch.stack([alike[0], alike[-1]])


def fit_picture(pixels: NDArray[np.uint8], budget: PixelBudget) -> Tensor:
    """Resize an RGB picture `[H, W, 3]` into the pixel budget: `[3, h, w]`, multiples of 28.

    Raises:
        ValueError: If it is too thin to be shown to the model.
    """
    height, width = budget.fit(pixels.shape[0], pixels.shape[1])
    picture = torch.from_numpy(np.require(pixels, requirements="W")).permute(2, 0, 1)
    return resize(picture[None], height, width)[0].contiguous()


assert SLOTS_PER_CHUNK == GRIDS_PER_CHUNK * FRAMES_PER_GRID

__all__ = ["Pictures", "fit_picture"]
