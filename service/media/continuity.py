"""Times of a media file, made to go on where they jump. Pure; knows nothing about codecs."""

from typing import Final

MAX_FORWARD_S: Final = 60.0  # a slide show stays on a picture for shorter
MAX_BACK_S: Final = 10.0  # tracks of one container are not further apart


class Continuity:
    """Places one container's presentation times on a clock that starts at zero.

    Damaged or joined media files jump by hours. A jump moves all that follows, of all tracks, to
    where the media file was; what is in order stays as it is.

    Args:
        begins_s: Where it begins; None: wherever its first frame is.
    """

    def __init__(self, begins_s: float | None = 0.0) -> None:
        self._offset_s = 0.0
        self._last_s = begins_s
        self._num_jumps = 0

    @property
    def num_jumps(self) -> int:
        """How often the times were moved."""
        return self._num_jumps

    def place(self, pts_s: float) -> float:
        """Where a frame belongs, in seconds."""
        at_s = pts_s + self._offset_s
        if self._last_s is None:
            self._last_s = at_s
        if not -MAX_BACK_S <= at_s - self._last_s <= MAX_FORWARD_S:
            self._num_jumps += 1
            self._offset_s += self._last_s - at_s
            at_s = self._last_s
        self._last_s = max(self._last_s, at_s)
        return at_s


__all__ = ["Continuity"]
