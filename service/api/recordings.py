"""Recordings of sessions: `GET /v1/sessions/{session_id}/recording`."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from service.access.caller import Caller, Scope
from service.api.authority import CallerOf, needs
from service.api.backend import Backend, IngestStage
from service.api.stream import ClosingStream
from service.errors import Forbidden, ServiceError
from service.sessions.record import SessionId

MATROSKA = "video/x-matroska"
MAX_S = 86_400.0


def recording_routes(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.get(
        "/{session_id}/recording",
        response_class=StreamingResponse,
        responses={200: {"content": {MATROSKA: {"schema": {"type": "string"}}}}},
        openapi_extra=needs(Scope.PUBLISH),
    )
    async def record(
        session_id: str,
        caller: CallerOf,
        seconds: Annotated[float, Query(gt=0, le=MAX_S)] = 60.0,
    ) -> StreamingResponse:
        """Record the session from now on; the file comes while it is made. Closing it ends it.

        It holds raw media, so it is for the API key that made the session, and for admins.
        """
        _check(caller)
        await backend.store.get(SessionId(session_id))
        recording_id = await backend.ingest.record(SessionId(session_id), seconds)
        parts = _parts(backend.ingest, SessionId(session_id), recording_id)
        headers = {
            "Content-Disposition": f'attachment; filename="{session_id}.mkv"',
            "Cache-Control": "no-store",
        }
        return ClosingStream(parts, media_type=MATROSKA, headers=headers)

    return router


def _check(caller: Caller) -> None:
    if caller.session_id is not None:
        # links with tokens are passed on; whoever holds one sees thumbnails and answers at most
        raise Forbidden("a token cannot record; use the API key that made the session")


async def _parts(
    ingest: IngestStage, session_id: SessionId, recording_id: str
) -> AsyncGenerator[bytes, None]:
    number = 0
    try:
        while (part := await ingest.recording_part(session_id, recording_id, number)) is not None:
            if part:
                yield part
                number += 1
    finally:
        with suppress(ServiceError):  # it is over, or its replica is
            await ingest.drop_recording(session_id, recording_id)


__all__ = ["recording_routes"]
