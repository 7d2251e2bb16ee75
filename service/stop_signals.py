"""SIGINT and SIGTERM, which ask a process to stop. Knows nothing about what is stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Turns the first signal into `KeyboardInterrupt` until `wait`, and into its return then.

    Further signals change nothing: what is stopping goes on to stop.
    """

    def __init__(self) -> None:
        self._told = Event()
        self._is_waiting = False

    def listen(self) -> None:
        """Take the signals from now on; for the main thread."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._take)

    def wait(self) -> None:
        """Return once there was a signal."""
        self._is_waiting = True
        self._told.wait()

    def _take(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        is_first = not self._told.is_set()
        self._told.set()
        if is_first and not self._is_waiting:
            raise KeyboardInterrupt


@contextmanager
def signals_kept() -> Iterator[None]:
    """Keep the handlers of stop signals through a block that puts its own in their place.

    For the main thread.

    Raises:
        KeyboardInterrupt: One of the block's ended the process, as far as it was asked.
    """
    handlers = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        for signum, handler in handlers.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(signum, handler)


__all__ = ["STOP_SIGNALS", "StopSignals", "signals_kept"]
