"""Stages behind Ray Serve handles: calls find a session's owner and survive its death.

A call names its session, so that `SessionRouter` sends it to one replica, and passes the lease's
owner as `steal_from`. Where that replica runs, the call reaches it. Where it is gone, the call
lands elsewhere, and that replica takes the lease over: the owner could not be reached.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from service.deployments.answers import unpack
from service.errors import (
    AnswerInterrupted,
    AtCapacity,
    NotOwner,
    ReplicaDied,
    ServiceError,
    StoreUnavailable,
)
from service.ingest.clip import ClipFile
from service.ingest.playback import Speed
from service.ingest.pull import SourceView
from service.ingest.recording.report import ReplayItem
from service.ingest.whip import WhipAnswer
from service.llm.engine import Finished, Question, TokenDelta
from service.llm.unit import Unit
from service.media.chunk import EncodedChunk, MediaChunk
from service.sessions.record import ChunkRecord, SessionId, Stage
from service.sessions.store import SessionStore
from service.tracing import Carrier, carrier

MAX_ATTEMPTS = 4
FIRST_BACKOFF_S = 0.05
TRACED = frozenset({"compress", "append", "ask"})


class OwnedStage:
    """Calls to the replica that owns one stage of a session."""

    def __init__(self, handle: DeploymentHandle[Any], store: SessionStore, stage: Stage) -> None:
        self._handle = handle.options(_by_reference=False)  # below 1 MB, gRPC is faster
        self._store = store
        self._stage = stage

    async def call(
        self, method: str, session_id: SessionId, *args: Any, is_idempotent: bool = True
    ) -> Any:
        """Call a method of the owner: an idempotent one up to `MAX_ATTEMPTS` times, others once."""
        for attempt in range(MAX_ATTEMPTS):
            handle = self._handle.options(session_id=session_id)
            owner = await self._owner(session_id)
            try:
                result = await getattr(handle, method).remote(
                    session_id, *args, steal_from=owner, **_trace(method)
                )
                return unpack(result)
            except Exception as error:
                await _retry_or_raise(error, attempt if is_idempotent else MAX_ATTEMPTS)
        raise AssertionError("unreachable: the last attempt raises")

    async def stream(
        self, method: str, session_id: SessionId, *args: Any
    ) -> AsyncGenerator[Any, None]:
        """Iterate over a streaming method of the owner; retried only before its first item.

        After a death it is retried once: it may be the call that kills, and it may kill no more
        than two.
        """
        num_deaths = 0
        for attempt in range(MAX_ATTEMPTS):
            handle = self._handle.options(session_id=session_id, stream=True)
            owner = await self._owner(session_id)
            items = getattr(handle, method).remote(
                session_id, *args, steal_from=owner, **_trace(method)
            )
            has_begun = False
            try:
                async for item in items:
                    yield unpack(item)
                    has_begun = True
                return
            except Exception as error:
                num_deaths += isinstance(_service_error(error), ReplicaDied)
                is_last = has_begun or num_deaths > 1
                await _retry_or_raise(error, MAX_ATTEMPTS if is_last else attempt)
            finally:
                items.cancel()

    async def _owner(self, session_id: SessionId) -> str | None:
        try:
            return (await self._store.recall(session_id)).owners.get(self._stage)
        except StoreUnavailable:
            return None  # this process's own binding still reaches a session in cache


def _trace(method: str) -> dict[str, Carrier]:
    """Where the trace goes on, for methods that are part of one."""
    return {"parent": carrier()} if method in TRACED else {}


async def _retry_or_raise(error: Exception, attempt: int) -> None:
    known = _service_error(error)
    if known is None:
        raise error
    if not isinstance(known, NotOwner | ReplicaDied) or attempt >= MAX_ATTEMPTS - 1:
        raise known from error
    await asyncio.sleep(FIRST_BACKOFF_S * 2**attempt)


def _service_error(error: Exception) -> ServiceError | None:
    """The service's name for an error of Ray's; None for a bug."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, BackPressureError):
        return AtCapacity(stage="replica", limit=int(error.args[1]))
    if isinstance(error, RayActorError):
        return ReplicaDied()
    return None


class RemoteEncoder:
    """`EncoderStage` on any encoder replica."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle.options(_by_reference=False)

    async def encode(self, chunk: MediaChunk) -> EncodedChunk:
        call: Callable[..., Awaitable[EncodedChunk]] = self._handle.encode.remote
        try:
            return unpack(await call(chunk, parent=carrier()))
        except Exception as error:
            known = _service_error(error)
            if known is None or known is error:
                raise
            raise known from error


class RemoteCompressor:
    """`CompressorStage` on the session's compressor replica."""

    def __init__(self, handle: DeploymentHandle[Any], store: SessionStore) -> None:
        self._owned = OwnedStage(handle, store, Stage.COMPRESSOR)

    async def compress(
        self, session_id: SessionId, chunk: EncodedChunk, *, steal_from: str | None = None
    ) -> ChunkRecord:
        del steal_from  # read from the record, by every call
        record: ChunkRecord = await self._owned.call("compress", session_id, chunk)
        return record

    async def close(self, session_id: SessionId) -> None:
        await self._owned.call("close", session_id)


class RemoteLLM:
    """`LLMStage` on the session's LLM replica."""

    def __init__(self, handle: DeploymentHandle[Any], store: SessionStore) -> None:
        self._owned = OwnedStage(handle, store, Stage.LLM)

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None:
        del steal_from  # read from the record, by every call
        await self._owned.call("append", session_id, record)

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        del steal_from  # read from the record, by every call
        has_begun = False
        async with aclosing(self._owned.stream("ask", session_id, question)) as items:
            try:
                async for item in items:
                    has_begun = True
                    yield item
            except ReplicaDied as error:
                if has_begun:
                    raise AnswerInterrupted from error
                raise

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...]:
        del steal_from  # read from the record, by every call
        units: tuple[Unit, ...] = await self._owned.call("units", session_id)
        return units

    async def close(self, session_id: SessionId) -> None:
        await self._owned.call("close", session_id)


class RemoteIngest:
    """`IngestStage` on the session's ingest replica."""

    def __init__(self, handle: DeploymentHandle[Any], store: SessionStore) -> None:
        self._owned = OwnedStage(handle, store, Stage.INGEST)

    async def offer(self, session_id: SessionId, sdp: str) -> WhipAnswer:
        answer: WhipAnswer = await self._owned.call("offer", session_id, sdp)
        return answer

    async def trickle(
        self, session_id: SessionId, resource_id: str, fragment: str, if_match: str | None
    ) -> None:
        await self._owned.call("trickle", session_id, resource_id, fragment, if_match)

    async def check(self, session_id: SessionId, resource_id: str) -> None:
        await self._owned.call("check", session_id, resource_id)

    async def hangup(self, session_id: SessionId, resource_id: str) -> None:
        await self._owned.call("hangup", session_id, resource_id)

    async def digest(self, session_id: SessionId, files: Sequence[ClipFile]) -> None:
        # what a dead replica took in is in the log: sent again, it would be there twice
        await self._owned.call("digest", session_id, files, is_idempotent=False)

    async def record(self, session_id: SessionId, seconds: float) -> str:
        recording_id: str = await self._owned.call("record", session_id, seconds)
        return recording_id

    async def recording_part(
        self, session_id: SessionId, recording_id: str, number: int
    ) -> bytes | None:
        part: bytes | None = await self._owned.call(
            "recording_part", session_id, recording_id, number
        )
        return part

    async def drop_recording(self, session_id: SessionId, recording_id: str) -> None:
        await self._owned.call("drop_recording", session_id, recording_id)

    async def end(self, session_id: SessionId, reason: str) -> None:
        await self._owned.call("end", session_id, reason)


class RemoteSources:
    """`SourceStage` on the session's ingest replica."""

    def __init__(self, handle: DeploymentHandle[Any], store: SessionStore) -> None:
        self._owned = OwnedStage(handle, store, Stage.INGEST)

    async def add(self, session_id: SessionId, url: str, speed: Speed) -> SourceView:
        view: SourceView = await self._owned.call("add_source", session_id, url, speed)
        return view

    async def resume(self, session_id: SessionId) -> bool:
        is_there: bool = await self._owned.call("resume_source", session_id)
        return is_there

    async def views(self, session_id: SessionId) -> tuple[SourceView, ...]:
        views: tuple[SourceView, ...] = await self._owned.call("sources", session_id)
        return views

    async def remove(self, session_id: SessionId, source_id: str) -> None:
        await self._owned.call("remove_source", session_id, source_id)

    async def begin_upload(self, session_id: SessionId) -> str:
        upload_id: str = await self._owned.call("begin_upload", session_id)
        return upload_id

    async def append_upload(
        self, session_id: SessionId, upload_id: str, offset: int, data: bytes
    ) -> None:
        await self._owned.call("append_upload", session_id, upload_id, offset, data)

    async def finish_upload(
        self, session_id: SessionId, upload_id: str, speed: Speed
    ) -> SourceView:
        view: SourceView = await self._owned.call("finish_upload", session_id, upload_id, speed)
        return view

    async def replay(
        self, session_id: SessionId, upload_id: str, *, is_anyway: bool
    ) -> AsyncGenerator[ReplayItem, None]:
        items = self._owned.stream("replay", session_id, upload_id, is_anyway)
        async with aclosing(items):
            async for item in items:
                yield item

    async def abort_upload(self, session_id: SessionId, upload_id: str) -> None:
        await self._owned.call("abort_upload", session_id, upload_id)


async def expositions(
    handles: Mapping[str, DeploymentHandle[Any]], *, timeout_s: float = 2.0
) -> list[tuple[str, str, bytes]]:
    """(deployment, replica, metrics) of every replica that answers in time."""
    replies = await asyncio.gather(
        *(
            handle.broadcast("exposition").results_async(
                timeout_s=timeout_s, return_exceptions=True
            )
            for handle in handles.values()
        ),
        return_exceptions=True,
    )
    flat = [reply for group in replies if isinstance(group, list) for reply in group]
    return [reply for reply in flat if isinstance(reply, tuple)]
