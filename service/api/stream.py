"""Responses that come piece by piece, and end their source when the client has gone."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import sse


class ClosingStream(StreamingResponse):
    """Sends pieces as they come; however it ends, their generator is closed at once.

    Starlette leaves that to the garbage collector, and a question would go on until then.

    Args:
        pieces: What is sent.
        media_type: Of all of it.
        headers: Beside the type.
        held: What is let go of after that.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str],
        held: AsyncExitStack | None = None,
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces
        self._held = held or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._pieces.aclose()


class EventStream(ClosingStream):
    """Sends server-sent events; `held` as for any `ClosingStream`."""

    def __init__(
        self, events: AsyncGenerator[bytes, None], held: AsyncExitStack | None = None
    ) -> None:
        super().__init__(events, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS, held=held)


__all__ = ["ClosingStream", "EventStream"]
