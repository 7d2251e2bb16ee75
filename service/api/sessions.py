"""Routes of sessions: their records, events, timeline and turns."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from service.access.caller import Caller, Scope
from service.admission.decision import PLACE_S
from service.api import schemas, sse, views
from service.api.authority import CallerOf, needs
from service.api.backend import Backend
from service.api.stream import EventStream
from service.api.watchers import Watchers
from service.clock import Clock
from service.errors import Forbidden, NoThumbnail, SessionEnded
from service.events import Event, EventType
from service.sessions.fields import check_cursor
from service.sessions.record import Session, SessionConfig, SessionId, SessionStatus
from service.sessions.store import SessionStore

TURNS: tuple[EventType, ...] = ("turn",)
READERS = needs(Scope.PUBLISH, Scope.ASK)
JPEG = "image/jpeg"
MAX_INDEX = (1 << 53) - 1  # beyond, Redis takes no such number
CURSOR = Header(json_schema_extra={"pattern": r"^\d{1,19}(-\d{1,19})?$"})
SESSION_ID_BYTES = 16  # 128 random bits: an id cannot be guessed


def new_session_id() -> SessionId:
    # the prefix keeps an id from looking like a command-line option
    return SessionId(f"s_{secrets.token_urlsafe(SESSION_ID_BYTES)}")


async def create_session(
    backend: Backend,
    caller: Caller,
    request: schemas.CreateSession,
    default_profile: str,
    now_s: float,
) -> schemas.Session:
    """Make a session's record, owned by the caller's key, and tell its feed.

    Raises:
        Forbidden: The caller holds a token, which is for one session that exists.
        RateLimited: The key has as many open sessions as it may.
        AtCapacity: The service has as many as it can serve.
    """
    if caller.session_id is not None:
        raise Forbidden("a session's token cannot create sessions; use the API key")
    config = SessionConfig(
        profile=request.profile or default_profile,
        video_keep_ratio=request.video_keep_ratio,
        audio_keep_ratio=request.audio_keep_ratio,
        instructions=request.instructions,
        metadata=request.metadata,
    )
    session_id = new_session_id()
    async with backend.admit():
        await backend.quotas.open_session(caller.key_id, session_id)
        record = await backend.store.create(session_id, config, now_s, key_id=caller.key_id)
    await backend.store.publish(Event("session.created", record.id, now_s, {}))
    return views.session(record)


@asynccontextmanager
async def held_place(backend: Backend, session_id: str, now_s: float) -> AsyncIterator[SessionId]:
    """Let media into a session: its place is kept for a while, after that it needs another.

    Raises:
        SessionNotFound: There is no such session.
        SessionEnded: It is over.
        AtCapacity: The service has as many as it can serve.
    """
    record = await backend.store.get(SessionId(session_id))
    if record.status is SessionStatus.ENDED:
        raise SessionEnded(session_id, reason=record.end_reason)
    has_waited = record.status is SessionStatus.CREATED and now_s > record.created_at_s + PLACE_S
    async with backend.admit() if has_waited else nullcontext():
        yield record.id


async def _visible(store: SessionStore, caller: Caller, limit: int) -> Sequence[Session]:
    if caller.session_id is not None:
        return [await store.get(SessionId(caller.session_id))]
    return await store.list(limit=limit, key_id=None if caller.sees_all else caller.key_id)


def session_routes(backend: Backend, clock: Clock, *, default_profile: str) -> APIRouter:
    """Sessions themselves."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.post("", status_code=201, openapi_extra=needs(Scope.PUBLISH))
    async def create(
        response: Response, caller: CallerOf, body: schemas.CreateSession | None = None
    ) -> schemas.Session:
        """Create a session; then publish to its `whip` link."""
        request = body or schemas.CreateSession()
        session = await create_session(backend, caller, request, default_profile, clock())
        response.headers["Location"] = session.links.self_
        return session

    @router.get("", openapi_extra=READERS)
    async def list_sessions(
        caller: CallerOf, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> schemas.SessionList:
        """The caller's sessions created last, newest first."""
        records = await _visible(backend.store, caller, limit)
        return schemas.SessionList(data=[views.session(record) for record in records])

    @router.get("/{session_id}", openapi_extra=READERS)
    async def show(session_id: str) -> schemas.Session:
        return views.session(await backend.store.get(SessionId(session_id)))

    @router.delete("/{session_id}", status_code=204, openapi_extra=needs(Scope.PUBLISH))
    async def delete(session_id: str) -> None:
        """End a session. Its record and turns can be read for a while; ending twice is fine."""
        await backend.store.get(SessionId(session_id))
        await backend.ingest.end(SessionId(session_id), "deleted")

    return router


def history_routes(backend: Backend) -> APIRouter:
    """What has happened to a session."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.get("/{session_id}/turns", openapi_extra=needs(Scope.ASK))
    async def turns(session_id: str) -> schemas.TurnList:
        """Questions asked and answers given, oldest first."""
        await backend.store.get(SessionId(session_id))
        records = await backend.store.turns(SessionId(session_id))
        return schemas.TurnList(data=[views.turn(record) for record in records])

    @router.get("/{session_id}/timeline", openapi_extra=READERS)
    async def timeline(
        session_id: str, caller: CallerOf, limit: Annotated[int, Query(ge=1, le=256)] = 64
    ) -> schemas.Timeline:
        """The last `limit` chunks in the log, oldest first; turns for those who may ask."""
        record = await backend.store.get(SessionId(session_id))
        after = max(record.last_index - limit, -1)
        chunks = await backend.store.chunks(record.id, after=after)
        units = await backend.llm.units(record.id)
        turns = await backend.store.turns(record.id) if caller.has_any([Scope.ASK]) else ()
        return views.timeline(session_id, chunks, units, turns)

    @router.get(
        "/{session_id}/chunks/{index}/thumbnail",
        response_class=Response,
        responses={200: {"content": {JPEG: {}}}},
        openapi_extra=READERS,
    )
    async def thumbnail(
        session_id: str, index: Annotated[int, Path(ge=0, le=MAX_INDEX)]
    ) -> Response:
        """The first picture of a chunk, at most 160 px wide."""
        record = await backend.store.chunk(SessionId(session_id), index)
        if record is None or record.marks.thumbnail is None:
            raise NoThumbnail(index)
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(record.marks.thumbnail, media_type=JPEG, headers=headers)

    return router


def feed_routes(backend: Backend, watchers: Watchers) -> APIRouter:
    """What goes on happening to a session."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.get(
        "/{session_id}/events",
        response_class=StreamingResponse,
        responses={200: sse.DOCUMENTED},
        openapi_extra=READERS,
    )
    async def events(
        session_id: str,
        caller: CallerOf,
        replay: bool = True,
        last_event_id: Annotated[str, CURSOR] = "",
    ) -> StreamingResponse:
        """What happens to the session, as server-sent events; resumes after `Last-Event-ID`.

        Events of type `turn` are for those who may ask.
        """
        record = await backend.store.get(SessionId(session_id))
        if last_event_id:
            check_cursor(last_event_id)
        after = last_event_id or None
        if after is None and not replay:
            after = await watchers.latest(SessionId(session_id))
        stream = watchers.watch(
            SessionId(session_id),
            after=after,
            key_id=caller.key_id,
            hidden=() if caller.has_any([Scope.ASK]) else TURNS,
            is_over=record.status is SessionStatus.ENDED,
        )
        return EventStream(stream)

    return router
