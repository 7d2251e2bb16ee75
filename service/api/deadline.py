"""A deadline for every write, as ASGI middleware: who does not read is taken for gone.

It works where the server makes `send` wait for the client, as uvicorn does. Ray Serve's proxy takes
whatever it is given; what a client can make that hold is bounded by the sizes of answers and of
event streams (`service.api.watchers`).
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class WriteDeadline:
    """Ends a request whose client has not read for `write_s`, and cancels what answers it."""

    def __init__(self, app: ASGIApp, *, write_s: float) -> None:
        self._app = app
        self._write_s = write_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_late = False

        async def send_in_time(message: Message) -> None:
            nonlocal is_late
            try:
                async with asyncio.timeout(self._write_s):
                    await send(message)
            except TimeoutError:
                # an OSError, which to an application means that the client has left (ASGI 2.4)
                is_late = True
                raise

        try:
            await self._app(scope, receive, send_in_time)
        except Exception:
            if not is_late:
                raise
            logger.info("client does not read: cut off", extra={"path": scope["path"]})


__all__ = ["WriteDeadline"]
