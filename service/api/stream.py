"""The response that sends server-sent events, and ends their source when the client has gone."""

from collections.abc import AsyncGenerator

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import sse


class EventStream(StreamingResponse):
    """Sends events as they come; however it ends, their generator is closed at once.

    Starlette leaves that to the garbage collector, and a question would go on until then.
    """

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


__all__ = ["EventStream"]
