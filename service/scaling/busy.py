"""How busy a replica is, from a reading that only grows. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class BusyRatio:
    """Turns total seconds of work into the share of time that was spent working lately.

    Attributes:
        window_s: Share of at least this long; asked more often, it answers as before.
    """

    window_s: float = 2.0
    _since_s: float | None = None
    _total_s: float = 0.0
    _ratio: float = 0.0

    def read(self, total_s: float, now_s: float) -> float:
        """Return the share, 0 at first.

        Args:
            total_s: Seconds of work since the start; a smaller reading than before counts as none.
            now_s: The time of the reading.
        """
        if self._since_s is None:
            self._since_s, self._total_s = now_s, total_s
        elif now_s - self._since_s >= self.window_s:
            self._ratio = max(0.0, total_s - self._total_s) / (now_s - self._since_s)
            self._since_s, self._total_s = now_s, total_s
        return self._ratio


__all__ = ["BusyRatio"]
