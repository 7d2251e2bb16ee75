"""Files as request bodies: bounded, read in parts, and handed on to the session's replica."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from service.api.backend import Backend
from service.errors import BadRequest, BodyTooLarge, DeadlineExceeded, UnsupportedMediaType
from service.sessions.record import SessionId
from service.source_errors import MediaUnreadable

PART_BYTES: Final = 4 << 20  # of one call to the replica
PART_S: Final = 30.0  # how long a client may take for more of its body
MEDIA_TYPES: Final = ("video/", "audio/", "application/octet-stream")


def documented(needed: dict[str, Any]) -> dict[str, Any]:
    """What a route that takes a file declares, beside what it needs."""
    content = {
        media_type: {"schema": {"type": "string", "format": "binary"}}
        for media_type in ("application/octet-stream", "video/*", "audio/*")
    }
    return needed | {"requestBody": {"required": True, "content": content}}


def check_headers(request: Request, max_bytes: int) -> None:
    """Refuse before the body is read, where that can be told.

    Raises:
        UnsupportedMediaType: It says that it is no media.
        BodyTooLarge: It says that it is larger than this.
    """
    media_type = request.headers.get("Content-Type", "application/octet-stream").lower()
    if not media_type.startswith(MEDIA_TYPES):
        expected = "video/*, audio/* or application/octet-stream"
        raise UnsupportedMediaType(got=media_type, expected=expected)
    length = request.headers.get("Content-Length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise BodyTooLarge(limit_bytes=max_bytes)


async def send(
    backend: Backend, session: SessionId, upload_id: str, parts: AsyncIterator[bytes]
) -> None:
    """Hand all parts on.

    Raises:
        MediaUnreadable: There are none.
        ServiceError: As `parts`, and as the session's replica refuses them.
    """
    offset = 0
    async for part in parts:
        await backend.sources.append_upload(session, upload_id, offset, part)
        offset += len(part)
    if offset == 0:
        raise MediaUnreadable("the body is empty: send the file itself as the body")


async def parts(request: Request) -> AsyncIterator[bytes]:
    """The body in parts of about `PART_BYTES`.

    Raises:
        BadRequest: It ended too soon.
        DeadlineExceeded: Its next bytes did not come.
    """
    held = bytearray()
    blocks = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(PART_S):
                block = await anext(blocks, None)
        except TimeoutError as error:
            raise DeadlineExceeded(stage="upload", limit_s=PART_S) from error
        except ClientDisconnect as error:
            raise BadRequest("the body ended too soon", field="body") from error
        if block is not None:
            held += block
        if held and (block is None or len(held) >= PART_BYTES):
            yield bytes(held)
            held.clear()
        if block is None:
            return


__all__ = ["check_headers", "documented", "parts", "send"]
