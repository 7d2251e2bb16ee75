"""Which pictures of a video are looked at: two per second. Pure; never touches a pixel."""

from collections import OrderedDict
from math import floor

SLOT_S = 0.5  # the models see video at 2 frames per second
SLOTS_PER_CHUNK = 4
ROUNDING_S = 1e-6  # sums of frame durations miss a slot's edge by less than this

_MAX_SLOTS = 64  # slots remembered: 32 s, far more than frames are reordered by


def slot_of(pts_s: float) -> int:
    """Number of the half-second slot since stream time zero that an instant falls into."""
    return floor((pts_s + ROUNDING_S) / SLOT_S)


class FrameSampler:
    """Picks the first picture of every slot, before any of its pixels are converted."""

    def __init__(self) -> None:
        self._firsts: OrderedDict[int, float] = OrderedDict()

    def admits(self, pts_s: float) -> bool:
        """Whether the picture at `pts_s` (stream time) is the earliest seen of its slot."""
        slot = slot_of(pts_s)
        first_s = self._firsts.get(slot)
        if first_s is not None and first_s <= pts_s:
            return False
        self._firsts[slot] = pts_s
        if len(self._firsts) > _MAX_SLOTS:
            self._firsts.popitem(last=False)
        return True


__all__ = ["ROUNDING_S", "SLOTS_PER_CHUNK", "SLOT_S", "FrameSampler", "slot_of"]
