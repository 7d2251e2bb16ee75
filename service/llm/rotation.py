"""Moves cached keys to other positions, without recomputing them. Knows nothing about sessions."""

import torch
from torch import Tensor, nn

from service.llm.pages import Indices, PagePool


class KeyRotation:
    """Rotates keys by a difference of ids.

    A key is rotated by an angle proportional to its id, so turning it further by the difference
    gives the key of the other id, up to the rounding of the angles. Everything else that a token's
    cached key and value have seen stays as it was.

    Source: RoFormer, arXiv 2104.09864, equation 16; the split of the dimensions over three axes is
    the model's own.
    """

    def __init__(self, rotary: nn.Module) -> None:
        self._rotary = rotary

    @torch.inference_mode()
    def __call__(self, pool: PagePool, slots: Indices, shifts: Indices) -> None:
        """Shift the ids of cached keys, in place, in all layers.

        Args:
            pool: Holds the keys.
            slots: `[n]`, slots that nobody shares.
            shifts: `[3, n]`, what is added to each key's ids of time, height and width.
        """
        rows = pool.on_device(slots)
        # float32, not the cache's dtype: the dtype of this tensor is that of the angles
        like = torch.empty(0, dtype=torch.float32, device=rows.device)
        cos, sin = (
            part[0][:, None] for part in self._rotary(like, pool.on_device(shifts)[:, None])
        )
        for layer in pool.keys.flatten(1, 2):
            layer[rows] = _rotate(layer[rows].float(), cos, sin).to(layer.dtype)


def _rotate(keys: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = keys.chunk(2, dim=-1)
    return keys * cos + torch.cat([-right, left], dim=-1) * sin
