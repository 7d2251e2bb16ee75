"""Is the other end of a connection alive? Pure: knows nothing about where the signs come from.

A receiver reports every second or so (RFC 3550, section 6.2: 5 s at most). A dead one would be
noticed by ICE only after 30 s (RFC 7675, section 5.1), so silence is a reason to ask the service
by another way, and a longer one is an answer in itself.
"""

# aiortc and browsers report once or twice a second and per track: two seconds without any is odd
SUSPECT_S = 2.0
# the service may be there, and busy: it stays silent for as long as this before it counts as dead
DEAD_S = 10.0


class Pulse:
    """Signs of life of one connection; all times are those of one clock, in seconds."""

    def __init__(self, now_s: float) -> None:
        self._report: object = None
        self._heard_s = now_s
        self._asked_s = now_s

    def hear(self, report: object, now_s: float) -> None:
        """Take the last report received, which counts if it is not the one before; None: none."""
        if report != self._report:
            self._report, self._heard_s = report, now_s

    def is_suspect(self, now_s: float) -> bool:
        """Whether to ask after the other end now; once asked, not again for as long."""
        if now_s - max(self._heard_s, self._asked_s) <= SUSPECT_S:
            return False
        self._asked_s = now_s
        return True

    def is_dead(self, now_s: float) -> bool:
        """Whether it has been silent for too long."""
        return now_s - self._heard_s > DEAD_S


__all__ = ["DEAD_S", "SUSPECT_S", "Pulse"]
