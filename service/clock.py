"""Time as a value that is passed in."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Gives Unix time in seconds; never runs backwards."""


def steady_clock() -> Clock:
    """A clock that starts at the wall clock's time and is not moved when that one is set."""
    offset_s = time.time() - time.monotonic()  # noqa: TID251 - the one reader of the wall clock
    return lambda: time.monotonic() + offset_s


__all__ = ["Clock", "steady_clock"]
