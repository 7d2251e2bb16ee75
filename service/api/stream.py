"""The response that sends server-sent events, and ends their source when the client has gone."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import sse


class EventStream(StreamingResponse):
    """Sends events as they come; however it ends, their generator is closed at once.

    Starlette leaves that to the garbage collector, and a question would go on until then.

    Args:
        events: What is sent.
        held: What is let go of after that.
    """

    def __init__(
        self, events: AsyncGenerator[bytes, None], held: AsyncExitStack | None = None
    ) -> None:
        super().__init__(events, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
        self._events = events
        self._held = held or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._events.aclose()


__all__ = ["EventStream"]
