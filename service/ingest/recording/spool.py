"""Bytes between who makes them and who fetches them, part by part."""

import asyncio

from service.errors import Unavailable


class Spool:
    """A file on its way; what is fetched is forgotten, but for the last part.

    Args:
        part_bytes: Most that a part has.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._waiting = bytearray()
        self._num_bytes = 0
        self._last: tuple[int, bytes] = (-1, b"")
        self._is_complete = False
        self._has_news = asyncio.Event()

    def __len__(self) -> int:
        """Bytes that nobody has fetched."""
        return len(self._waiting)

    @property
    def num_bytes(self) -> int:
        """Size of the file so far."""
        return self._num_bytes

    @property
    def is_complete(self) -> bool:
        """No more is written."""
        return self._is_complete

    def write(self, data: bytes) -> None:
        """Append."""
        self._waiting += data
        self._num_bytes += len(data)
        self._has_news.set()

    def complete(self) -> None:
        """No more will be written."""
        self._is_complete = True
        self._has_news.set()

    async def part(self, number: int, *, wait_s: float) -> bytes | None:
        """The next part, empty if there is none in time; None after the last.

        Args:
            number: Of the part: 0, 1, ... Asked for again, it is the same.
            wait_s: Longest wait.

        Raises:
            Unavailable: It is neither the next part nor the one before.
        """
        last, data = self._last
        if number == last:
            return data
        if number != last + 1:
            raise Unavailable(f"part {number} of the recording is gone")
        if not self._waiting and not self._is_complete:
            await self._wait(wait_s)
        data = bytes(self._waiting[: self._part_bytes])
        if not data:
            return None if self._is_complete else b""
        del self._waiting[: len(data)]
        self._last = (number, data)
        return data

    async def _wait(self, wait_s: float) -> None:
        self._has_news.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._has_news.wait()
        except TimeoutError:
            return


__all__ = ["Spool"]
