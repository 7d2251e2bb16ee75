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
from service.api.source_schemas import CreateSource, Source, SourceList
from service.errors import (
    BadRequest,
    BodyTooLarge,
    DeadlineExceeded,
    ServiceError,
    SessionEnded,
    UnsupportedMediaType,
)
from service.ingest.playback import Speed
from service.sessions.record import SessionId, SessionStatus
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


def source_routes(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/v1/sessions/{session_id}/sources", tags=["sources"])

    @router.post("", status_code=201, openapi_extra=PUBLISHERS)
    async def add(session_id: str, body: CreateSource) -> Source:
        """Let the service fetch media itself: a camera, a stream, a recording."""
        session = await _open_session(backend, session_id)
        return Source.of(await backend.sources.add(session, body.url, body.speed))

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


def upload_routes(backend: Backend, *, max_bytes: int) -> APIRouter:
    router = APIRouter(tags=["sources"])

    @router.put("/v1/sessions/{session_id}/media", status_code=201, openapi_extra=RECORDING)
    async def upload(session_id: str, request: Request, speed: Speed = "fast") -> Source:
        """Send a recording as the body; it is played once it has arrived whole."""
        _check_headers(request, max_bytes)
        session = await _open_session(backend, session_id)
        upload_id = await backend.sources.begin_upload(session)
        try:
            await _send(backend, session, upload_id, request)
            return Source.of(await backend.sources.finish_upload(session, upload_id, speed))
        except BaseException:
            with suppress(ServiceError):  # it is given up there by itself
                await backend.sources.abort_upload(session, upload_id)
            raise

    return router


async def _open_session(backend: Backend, session_id: str) -> SessionId:
    session = await backend.store.get(SessionId(session_id))
    if session.status is SessionStatus.ENDED:
        raise SessionEnded(session_id, reason=session.end_reason)
    return session.id


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
