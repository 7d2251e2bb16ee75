"""Recordings of sessions, replayed into new ones: `POST /v1/replays`."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from service.access.caller import Caller, Scope
from service.api import asking, sse, uploads
from service.api.authority import CallerOf, needs_all
from service.api.backend import Backend
from service.api.errors import error_body
from service.api.limits import REPLAY_PATH as PATH
from service.api.schemas import CreateSession
from service.api.sessions import create_session
from service.api.stream import EventStream
from service.clock import Clock
from service.errors import ServiceError, Unprocessable
from service.ingest.recording.journal import Header
from service.ingest.recording.provenance import check_provenance
from service.ingest.recording.reader import read_header
from service.ingest.recording.report import (
    ReplayBegun,
    ReplayedAnswer,
    ReplayedChunk,
    ReplayItem,
    Report,
)
from service.llm.engine import Message, Question
from service.media.chunker import ChunkerConfig
from service.sessions.record import SessionId
from service.source_errors import MediaUnreadable

FAILED: Final = "replay_failed"

Items = AsyncGenerator[ReplayItem, None]


@dataclass(frozen=True, slots=True)
class ReplaysConfig:
    """What a recording must fit.

    Attributes:
        max_bytes: Largest file.
        service: Version of this service.
        chunker: How media becomes chunks here.
    """

    max_bytes: int = 256 << 20
    service: str = ""
    chunker: ChunkerConfig = field(default_factory=ChunkerConfig)


def replay_routes(backend: Backend, clock: Clock, config: ReplaysConfig) -> APIRouter:
    router = APIRouter(tags=["sessions"])

    @router.post(
        PATH,
        response_class=StreamingResponse,
        responses={200: sse.DOCUMENTED},
        openapi_extra=uploads.documented(needs_all(Scope.PUBLISH, Scope.ASK)),
    )
    async def replay(request: Request, caller: CallerOf, anyway: bool = False) -> StreamingResponse:
        """Replay a recording, the body, in a session of its own; tells what is as it was.

        With `anyway`, also one that another version or another model made. Closing the answer ends
        the replay; the session stays.
        """
        uploads.check_headers(request, config.max_bytes)
        parts = uploads.parts(request)
        beginning = await anext(parts, b"")
        if not beginning:
            raise MediaUnreadable("the body is empty: send the file itself as the body")
        header = read_header(beginning)
        model = backend.model.name
        check_provenance(
            header, config.chunker, service=config.service, model=model, is_anyway=anyway
        )
        async with AsyncExitStack() as held:
            # it asks one question at a time, so it counts as one
            question = Question(asking.new_question_id("replay"), (Message("user", ""),))
            await held.enter_async_context(asking.counted(backend, caller, question))
            session_id = await _session_for(backend, caller, header, clock())
            async with _ended_if_it_fails(backend, session_id):
                upload_id = await backend.sources.begin_upload(session_id)
                await uploads.send(backend, session_id, upload_id, _chain(beginning, parts))
                items = backend.sources.replay(session_id, upload_id, is_anyway=anyway)
                begun = await anext(items)
            assert isinstance(begun, ReplayBegun)
            return EventStream(replay_events(session_id, begun, items, model), held.pop_all())

    return router


async def _session_for(backend: Backend, caller: Caller, header: Header, now_s: float) -> SessionId:
    """A session as the recorded one was made."""
    config = header.config
    try:
        request = CreateSession(
            profile=config.profile,
            video_keep_ratio=config.video_keep_ratio,
            audio_keep_ratio=config.audio_keep_ratio,
            instructions=config.instructions,
            metadata=config.metadata,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise Unprocessable(
            f"the recorded session cannot be made here: {name}: {problem['msg']}", field="recording"
        ) from error
    made = await create_session(backend, caller, request, config.profile, now_s)
    return SessionId(made.id)


@asynccontextmanager
async def _ended_if_it_fails(backend: Backend, session_id: SessionId) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        with suppress(ServiceError):  # it ends as one that its publisher has left
            await backend.ingest.end(session_id, FAILED)
        raise


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


async def replay_events(
    session_id: SessionId, begun: ReplayBegun, items: Items, model: str
) -> AsyncGenerator[bytes, None]:
    """What is told of a replay: its session, each chunk and answer, and at last the report."""
    chunks, answers = list[ReplayedChunk](), list[ReplayedAnswer]()
    try:
        async with aclosing(items):
            yield _encode("session", {"session_id": session_id, "recording": begun.as_json()})
            async for item in items:
                if isinstance(item, ReplayedChunk):
                    chunks.append(item)
                    yield _encode("chunk", item.as_json())
                elif isinstance(item, ReplayedAnswer):
                    answers.append(item)
                    yield _encode("answer", item.as_json())
    except ServiceError as error:
        yield _encode("error", error_body(error, PATH))
        return
    yield _encode("report", Report(begun, model, chunks, answers).summary())


def _encode(event: str, data: dict[str, Any]) -> bytes:
    return sse.encode(data, event=event)


__all__ = ["ReplaysConfig", "replay_events", "replay_routes"]
