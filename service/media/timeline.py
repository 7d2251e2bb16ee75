"""Where a track's frames belong on the stream's clock. Pure; knows nothing about codecs.

A receiver sees presentation times that start anywhere, wrap and jump, and tracks without a common
clock. What they share is the receiver's own clock. A track is anchored there by the least delayed
of its first frames, since the very first tends to be late, and follows its own times from then on:
the anchor is off by the delay of a packet on its way, which cannot be seen from here.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class TimelineConfig:
    """When to believe arrival rather than presentation times.

    Attributes:
        anchor_s: First frames are held this long to find the least delayed one.
        max_early_s: A frame that arrives this much before its time shows that the anchor was late.
        max_late_s: A track whose every frame is later than this for `settle_s` has paused, drifted
            or found a slower path; one that catches up sooner was only held back by the network.
        settle_s: See `max_late_s`.
        wrap_s: Period after which presentation times start again; None: they do not.
    """

    anchor_s: float = 0.25
    max_early_s: float = 0.25
    max_late_s: float = 0.5
    settle_s: float = 2.0
    wrap_s: float | None = None


@dataclass(frozen=True, slots=True)
class Placed(Generic[Item]):
    """A frame with its time and its arrival, both on the clock of arrival."""

    at_s: float
    arrived_s: float
    item: Item


class Timeline(Generic[Item]):
    """Maps one track's presentation times to the clock of their arrival."""

    def __init__(self, config: TimelineConfig | None = None) -> None:
        self._config = config or TimelineConfig()
        self._held: list[tuple[float, float, Item]] = []  # (pts, arrival, item) before the anchor
        self._offset_s: float | None = None
        self._last_pts_s: float | None = None
        self._late_since_s: float | None = None
        self._num_jumps = 0

    @property
    def num_jumps(self) -> int:
        """How often the track was anchored anew."""
        return self._num_jumps

    @property
    def patience_s(self) -> float | None:
        """How long to wait for another frame before `settle`; None: nothing is held."""
        return self._config.anchor_s if self._held else None

    def add(self, pts_s: float, now_s: float, item: Item) -> list[Placed[Item]]:
        """Take a frame; returns the frames whose place is known, in order of arrival.

        Args:
            pts_s: Presentation time as the decoder tells it.
            now_s: When the frame arrived; never runs backwards.
            item: The frame.
        """
        pts_s = self._unwrap(pts_s)
        if self._offset_s is None:
            self._held.append((pts_s, now_s, item))
            self._last_pts_s = pts_s
            is_held = now_s - self._held[0][1] < self._config.anchor_s
            return [] if is_held else self.settle()
        if self._has_jumped(pts_s, now_s - pts_s - self._offset_s, now_s):
            self._num_jumps += 1
            self._anchor(pts_s, now_s - pts_s)
        return [self._place(pts_s, now_s, item)]

    def settle(self) -> list[Placed[Item]]:
        """Place what is held by what is known of it: no more comes, or not soon."""
        if not self._held:
            return []
        held, self._held = self._held, []
        self._anchor(held[0][0], min(now_s - pts_s for pts_s, now_s, _ in held))
        return [self._place(*frame) for frame in held]

    def _anchor(self, pts_s: float, offset_s: float) -> None:
        self._offset_s = offset_s
        self._last_pts_s = pts_s
        self._late_since_s = None

    def _place(self, pts_s: float, now_s: float, item: Item) -> Placed[Item]:
        assert self._offset_s is not None
        assert self._last_pts_s is not None
        self._last_pts_s = max(pts_s, self._last_pts_s)
        return Placed(pts_s + self._offset_s, now_s, item)

    def _unwrap(self, pts_s: float) -> float:
        wrap_s = self._config.wrap_s
        if wrap_s is None or self._last_pts_s is None:
            return pts_s
        return pts_s - wrap_s * round((pts_s - self._last_pts_s) / wrap_s)

    def _has_jumped(self, pts_s: float, late_s: float, now_s: float) -> bool:
        config = self._config
        assert self._last_pts_s is not None
        if late_s < -config.max_early_s or pts_s < self._last_pts_s - config.settle_s:
            return True
        if late_s <= config.max_late_s:
            self._late_since_s = None
            return False
        if self._late_since_s is None:
            self._late_since_s = now_s
        return now_s - self._late_since_s >= config.settle_s


__all__ = ["Placed", "Timeline", "TimelineConfig"]
