"""A TCP proxy in front of Redis that loses a request, or a reply: the caller cannot tell which."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class LossyProxy:
    """Forwards to `url`, and breaks the next connections where it is told to."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._num_to_lose = 0
        self._marker = b""
        self._is_served = True
        self.num_lost = 0
        self.url = ""

    def lose_replies(self, count: int, *, to: bytes) -> None:
        """Break the next `count` connections whose request contains `to`, after it is served."""
        self._num_to_lose, self._marker, self.num_lost = count, to, 0
        self._is_served = True

    def lose_requests(self, count: int, *, to: bytes) -> None:
        """Break the next `count` connections whose request contains `to`, before it is served."""
        self.lose_replies(count, to=to)
        self._is_served = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LossyProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = self._target._replace(
            netloc=f":{self._target.password}@127.0.0.1:{port}"
        ).geturl()
        async with server:
            yield self

    async def _serve(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        answer, request = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            while data := await client.read(1 << 20):
                is_lost = self._num_to_lose > 0 and self._marker in data
                if is_lost:
                    self._num_to_lose -= 1
                    self.num_lost += 1
                if is_lost and not self._is_served:
                    return
                request.write(data)
                answered = await answer.read(1 << 20)
                if is_lost:
                    return
                reply.write(answered)
        finally:
            for writer in (reply, request):
                writer.close()
                await writer.wait_closed()
