from collections.abc import AsyncGenerator

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from service.api.stream import EventStream

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/"}


class Source:
    """Events without end, and whether anybody still wants them."""

    def __init__(self) -> None:
        self.is_closed = False

    async def events(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: x\n\n"
        finally:
            self.is_closed = True


async def receive() -> Message:
    raise AssertionError("not asked")


async def test_source_is_closed_at_once_when_the_client_has_gone() -> None:
    source = Source()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 4:
            raise OSError("gone")

    with pytest.raises(ClientDisconnect):
        await EventStream(source.events())(SCOPE, receive, send)

    assert source.is_closed
    assert sent[0]["type"] == "http.response.start"
    assert (b"content-type", b"text/event-stream; charset=utf-8") in sent[0]["headers"]
