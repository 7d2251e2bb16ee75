"""Media that the service fetches, `/v1/sessions/{session_id}/sources`, or is sent as a file."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from service.access.caller import Scope
from service.api.authority import needs
from service.api.backend import Backend
from service.api.sessions import held_place
from service.api.source_schemas import CreateSource, Source, SourceList
from service.clock import Clock
from service.errors import (
    BadRequest,
    BodyTooLarge,
    DeadlineExceeded,
    ServiceError,
    UnsupportedMediaType,
)
from service.ingest.playback import Speed
from service.sessions.record import SessionId
from service.source_errors import MediaUnreadable

PUBLISHERS: Final = needs(Scope.PUBLISH)
PART_BYTES: Final = 4 << 20  # of one call to the replica
PART_S: Final = 30.0  # how long a client may take for more of its body
MEDIA_TYPES: Final = ("video/", "audio/", "application/octet-stream")
RECORDING: Final[dict[str, Any]] = PUBLISHERS | {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in ("application/octet-stream", "video/*", "audio/*")
        },
    }
}


def source_routes(backend: Backend, clock: Clock) -> APIRouter:
    router = APIRouter(prefix="/v1/sessions/{session_id}/sources", tags=["sources"])

    @router.post("", status_code=201, openapi_extra=PUBLISHERS)
    async def add(session_id: str, body: CreateSource) -> Source:
        """Let the service fetch media itself: a camera, a stream, a recording."""
        async with held_place(backend, session_id, clock()) as place:
            return Source.of(await backend.sources.add(place, body.url, body.speed))

    @router.get("", openapi_extra=PUBLISHERS)
    async def list_sources(session_id: str) -> SourceList:
        """The session's latest sources, and how each stands."""
        session = await backend.store.get(SessionId(session_id))
        views = await backend.sources.views(session.id)
        return SourceList(data=[Source.of(view) for view in views])

    @router.delete("/{source_id}", status_code=204, openapi_extra=PUBLISHERS)
    async def remove(session_id: str, source_id: str) -> None:
        """Stop a source; the session and its context stay."""
        session = await backend.store.get(SessionId(session_id))
        await backend.sources.remove(session.id, source_id)

    return router


def upload_routes(backend: Backend, clock: Clock, *, max_bytes: int) -> APIRouter:
    router = APIRouter(tags=["sources"])

    @router.put("/v1/sessions/{session_id}/media", status_code=201, openapi_extra=RECORDING)
    async def upload(session_id: str, request: Request, speed: Speed = "fast") -> Source:
        """Send a recording as the body; it is played once it has arrived whole."""
        _check_headers(request, max_bytes)
        async with held_place(backend, session_id, clock()) as place:
            upload_id = await backend.sources.begin_upload(place)
        try:
            await _send(backend, place, upload_id, request)
            return Source.of(await backend.sources.finish_upload(place, upload_id, speed))
        except BaseException:
            with suppress(ServiceError):  # it is given up there by itself
                await backend.sources.abort_upload(place, upload_id)
            raise

    return router


def _check_headers(request: Request, max_bytes: int) -> None:
    """Refuse before the body is read, where that can be told."""
    media_type = request.headers.get("Content-Type", "application/octet-stream").lower()
    if not media_type.startswith(MEDIA_TYPES):
        expected = "video/*, audio/* or application/octet-stream"
        raise UnsupportedMediaType(got=media_type, expected=expected)
    length = request.headers.get("Content-Length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise BodyTooLarge(limit_bytes=max_bytes)


async def _send(backend: Backend, session: SessionId, upload_id: str, request: Request) -> None:
    offset = 0
    async for part in _parts(request):
        await backend.sources.append_upload(session, upload_id, offset, part)
        offset += len(part)
    if offset == 0:
        raise MediaUnreadable("the body is empty")


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """The body in parts of about `PART_BYTES`."""
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


__all__ = ["source_routes", "upload_routes"]
