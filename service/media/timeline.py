"""Where a track's frames belong on the stream's clock. Pure; knows nothing about codecs.

A receiver sees presentation times that start anywhere, wrap and jump, and tracks without a common
clock. What they share is the receiver's own clock: a track is anchored where its first frame
arrives (tens of milliseconds from the truth) and follows its own presentation times from there.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimelineConfig:
    """When to believe arrival rather than presentation times.

    Attributes:
        max_early_s: A frame that arrives this much before its time shows that the anchor was late.
        max_late_s: A track whose every frame is later than this for `settle_s` has paused, drifted
            or found a slower path; one that catches up sooner was only held back by the network.
        settle_s: See `max_late_s`.
        wrap_s: Period after which presentation times start again; None: they do not.
    """

    max_early_s: float = 0.25
    max_late_s: float = 0.5
    settle_s: float = 2.0
    wrap_s: float | None = None


class Timeline:
    """Maps one track's presentation times to the clock of their arrival."""

    def __init__(self, config: TimelineConfig | None = None) -> None:
        self._config = config or TimelineConfig()
        self._offset_s: float | None = None
        self._last_pts_s = 0.0
        self._late_since_s: float | None = None
        self._num_jumps = 0

    @property
    def num_jumps(self) -> int:
        """How often the track was anchored anew."""
        return self._num_jumps

    def place(self, pts_s: float, now_s: float) -> float:
        """The time of a frame on the clock of `now_s`.

        Args:
            pts_s: Presentation time as the decoder tells it.
            now_s: When the frame arrived; never runs backwards.
        """
        if self._offset_s is None:
            return self._anchor(pts_s, now_s)
        pts_s = self._unwrap(pts_s)
        if self._has_jumped(pts_s, now_s - pts_s - self._offset_s, now_s):
            self._num_jumps += 1
            return self._anchor(pts_s, now_s)
        self._last_pts_s = max(pts_s, self._last_pts_s)
        return pts_s + self._offset_s

    def _anchor(self, pts_s: float, now_s: float) -> float:
        self._offset_s = now_s - pts_s
        self._last_pts_s = pts_s
        self._late_since_s = None
        return now_s

    def _unwrap(self, pts_s: float) -> float:
        wrap_s = self._config.wrap_s
        if wrap_s is None:
            return pts_s
        return pts_s - wrap_s * round((pts_s - self._last_pts_s) / wrap_s)

    def _has_jumped(self, pts_s: float, late_s: float, now_s: float) -> bool:
        config = self._config
        if late_s < -config.max_early_s or pts_s < self._last_pts_s - config.settle_s:
            return True
        if late_s <= config.max_late_s:
            self._late_since_s = None
            return False
        if self._late_since_s is None:
            self._late_since_s = now_s
        return now_s - self._late_since_s >= config.settle_s


__all__ = ["Timeline", "TimelineConfig"]
