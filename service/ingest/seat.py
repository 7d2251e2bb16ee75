"""The publisher's place in a session, for chunks that come ready-made."""

import asyncio
from collections.abc import Callable

from service.errors import Unavailable
from service.ingest.source import MediaSource


class Seat(MediaSource):
    """Keeps others from publishing until it is closed.

    Args:
        on_media: Told that something came.
    """

    def __init__(self, on_media: Callable[[], None]) -> None:
        self._on_media = on_media
        self._gone = asyncio.Event()

    def use(self) -> None:
        """Say that something came. Raises `Unavailable` where the place was taken away."""
        if self._gone.is_set():
            raise Unavailable("the session was ended, or moves to another replica; try again")
        self._on_media()

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def aclose(self) -> None:
        self._gone.set()


__all__ = ["Seat"]
