"""Scene cuts, seen in the pictures themselves. Pure; knows nothing about tokens.

The compressor's scores are no help: a vision tower that is trained to look at things learns not to
see what is behind them (docs/experiments.md).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from service.media.chunk import CHUNK_S, FRAMES_PER_GRID
from service.media.sampler import SLOT_S

CELLS = 8  # a picture is compared as 8 x 8 mean brightnesses
MIN_CHANGE = 6.0  # mean change of a cell's brightness, 0 to 255; calibrated on made-up scenes
MIN_RATIO = 2.0  # times the usual change: whoever pans all the time cuts rarely
MEMORY = 0.8  # weight of the past in what is usual


class CutDetector:
    """Follows the pictures of one stream, two a second."""

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._usual = 0.0

    def see(self, index: int, grids: Sequence[Tensor | None]) -> tuple[float, ...]:
        """Take the pictures of the next chunk.

        Args:
            index: The chunk's number.
            grids: `[2, 3, H, W]` uint8 each, None for a second without pictures.

        Returns:
            Stream times of the first pictures of new scenes, true to half a second.
        """
        cuts = []
        for number, grid in enumerate(grids):
            for place, cells in enumerate(() if grid is None else _cells(grid)):
                if self._is_cut(cells):
                    cuts.append(index * CHUNK_S + (number * FRAMES_PER_GRID + place) * SLOT_S)
        return tuple(cuts)

    def _is_cut(self, cells: Tensor) -> bool:
        last, self._last = self._last, cells
        if last is None:
            return False
        change = float((cells - last).abs().mean())
        is_cut = change >= max(MIN_CHANGE, MIN_RATIO * self._usual)
        self._usual = MEMORY * self._usual + (1 - MEMORY) * change
        return is_cut


def _cells(grid: Tensor) -> Tensor:
    """Brightness per cell, less the picture's mean: light that changes is no cut. `[2, 64]`."""
    brightness = grid.to(torch.float32).mean(dim=1, keepdim=True)
    cells = adaptive_avg_pool2d(brightness, (CELLS, CELLS)).flatten(1)
    return cells - cells.mean(dim=1, keepdim=True)


__all__ = ["CutDetector"]
