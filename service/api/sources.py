"""Media that the service fetches, `/v1/sessions/{session_id}/sources`, or is sent as a file."""

from contextlib import suppress
from typing import Final

from fastapi import APIRouter, Request

from service.access.caller import Scope
from service.api import uploads
from service.api.authority import needs
from service.api.backend import Backend
from service.api.sessions import held_place
from service.api.source_schemas import CreateSource, Source, SourceList
from service.clock import Clock
from service.errors import ServiceError
from service.ingest.playback import Speed
from service.sessions.record import SessionId

PUBLISHERS: Final = needs(Scope.PUBLISH)


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

    @router.put(
        "/v1/sessions/{session_id}/media",
        status_code=201,
        openapi_extra=uploads.documented(PUBLISHERS),
    )
    async def upload(session_id: str, request: Request, speed: Speed = "fast") -> Source:
        """Send a media file as the body; it is played once it has arrived whole."""
        uploads.check_headers(request, max_bytes)
        async with held_place(backend, session_id, clock()) as place:
            upload_id = await backend.sources.begin_upload(place)
        try:
            await uploads.send(backend, place, upload_id, uploads.parts(request))
            return Source.of(await backend.sources.finish_upload(place, upload_id, speed))
        except BaseException:
            with suppress(ServiceError):  # it is given up there by itself
                await backend.sources.abort_upload(place, upload_id)
            raise

    return router


__all__ = ["source_routes", "upload_routes"]
