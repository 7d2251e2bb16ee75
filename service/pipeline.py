"""One session's way from media to context: encode, compress and log, prefill; strictly in order.

Encoding chunk k + 1 overlaps with compressing and prefilling chunk k. A chunk that fails for good
is left out, counted and told; the session goes on. Knows nothing about where the stages run.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from service.chunk_event import chunk_data, marks_data
from service.clock import Clock
from service.errors import ServiceError, SessionEnded, SessionNotFound
from service.events import Event, EventType
from service.media.backlog import Backlog
from service.media.chunk import EncodedChunk, MediaChunk
from service.metrics import Metrics
from service.retry import RetryConfig, insist
from service.sessions.record import ChunkRecord, SessionId
from service.sessions.store import SessionStore
from service.stages import CompressorStage, EncoderStage, LLMStage
from service.tracing import Span, Tracing, fail, note_on

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_PENDING_EVENTS = 256


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Limits of one session.

    Attributes:
        max_pending_chunks: Chunks that may wait with their video; see `Backlog`.
        retry: How long a stage is insisted on.
    """

    max_pending_chunks: int = 4
    retry: RetryConfig = field(default_factory=RetryConfig)


@dataclass(frozen=True, slots=True)
class Stages:
    """Everything a chunk passes through."""

    encoder: EncoderStage
    compressor: CompressorStage
    llm: LLMStage


@dataclass(slots=True)
class _Work:
    """A chunk on its way, with the time each stage has taken."""

    chunk: MediaChunk
    span: Span
    stages_s: dict[str, float] = field(default_factory=dict)


class SessionPipeline:
    """Takes a session's chunks and brings them into its context."""

    def __init__(
        self,
        session_id: SessionId,
        stages: Stages,
        store: SessionStore,
        metrics: Metrics,
        clock: Clock,
        config: PipelineConfig,
        *,
        started_at_s: float,
        tracing: Tracing | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            session_id: Whose chunks these are.
            stages: Where they go.
            store: For the session's lag and events; the stages write the log.
            metrics: Of this process.
            clock: Unix time.
            config: Limits.
            started_at_s: Unix time of stream time zero.
            tracing: A trace per chunk, from the end of its media to its place in context.
            on_event: Told what the session's watchers are told.
        """
        self._session_id = session_id
        self._stages = stages
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._config = config
        self._started_at_s = started_at_s
        self._tracing = tracing or Tracing()
        self._on_event = on_event
        self._backlog = Backlog(config.max_pending_chunks)
        self._has_news = asyncio.Event()  # a chunk waits, or no more will come
        self._has_room = asyncio.Event()  # a chunk was taken, or none will be
        self._is_finishing = False
        self._is_over = False
        self._encoded: asyncio.Queue[tuple[_Work, EncodedChunk] | None] = asyncio.Queue(1)
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(MAX_PENDING_EVENTS)
        self._due_s: dict[int, float] = {}  # by chunk on its way: when its media was complete
        self._lag_s = 0.0

    @property
    def is_over(self) -> bool:
        """The session has ended elsewhere; nothing more can be added to it."""
        return self._is_over

    @property
    def num_pending(self) -> int:
        """Chunks that wait to be encoded."""
        return len(self._backlog)

    @property
    def is_idle(self) -> bool:
        """All chunks that came are in context, or given up."""
        return not self._due_s

    @property
    def lag_s(self) -> float:
        """Glass to context, seconds: of the last chunk, or of one that waits for longer already."""
        return max([self._lag_s, *(self._clock() - due_s for due_s in self._due_s.values())])

    def put(self, chunk: MediaChunk) -> None:
        """Queue a chunk; never waits. When too many wait, the oldest give way."""
        self._due_s[chunk.index] = self._started_at_s + chunk.end_s - chunk.lead_s
        for gap in chunk.gaps:
            self._metrics.gaps_total.labels(modality=gap.modality).inc()
        if chunk.skew_s is not None:
            self._metrics.av_skew_seconds.observe(chunk.skew_s)
        for loss in self._backlog.push(chunk):
            if loss.part == "chunk":
                del self._due_s[loss.index]
            self._give_up(loss.index, "backlog" if loss.part == "chunk" else "backlog_video")
        self._has_news.set()

    async def wait_room(self) -> None:
        """Return once `put` makes no chunk give way, or the session is over."""
        while len(self._backlog) >= self._config.max_pending_chunks and not self._is_over:
            self._has_room.clear()
            await self._has_room.wait()

    def finish(self) -> None:
        """No more chunks will come: `run` returns once those that wait are done."""
        self._is_finishing = True
        self._has_news.set()

    async def run(self) -> None:
        """Work until `finish`, or until the session turns out to be over (see `is_over`)."""
        async with asyncio.TaskGroup() as group:
            encoding = group.create_task(self._encode(), name=f"encode {self._session_id}")
            telling = group.create_task(self._tell(), name=f"tell {self._session_id}")
            await self._apply()
            encoding.cancel()
            await self._events.put(None)
            await telling

    async def _encode(self) -> None:
        while (chunk := await self._next()) is not None:
            work = self._begin(chunk)
            encoded = await self._attempt(
                work, "encode", partial(self._stages.encoder.encode, chunk)
            )
            if encoded is not None:
                await self._encoded.put((work, encoded))
        await self._encoded.put(None)

    def _begin(self, chunk: MediaChunk) -> _Work:
        complete_s = self._due_s[chunk.index]
        span = self._tracing.begin(
            "chunk",
            start_s=min(complete_s, self._clock()),
            session__id=self._session_id,
            omnisift__chunk__index=chunk.index,
            omnisift__queue_s=max(0.0, self._clock() - complete_s),
        )
        if chunk.skew_s is not None:
            note_on(span, omnisift__skew_s=chunk.skew_s)
        return _Work(chunk, span)

    async def _next(self) -> MediaChunk | None:
        while (chunk := self._backlog.pop()) is None and not self._is_finishing:
            self._has_news.clear()
            await self._has_news.wait()
        self._has_room.set()
        return chunk

    async def _apply(self) -> None:
        while not self._is_over and (item := await self._encoded.get()) is not None:
            await self._add(*item)

    async def _add(self, work: _Work, encoded: EncodedChunk) -> None:
        compress = partial(self._stages.compressor.compress, self._session_id, encoded)
        record = await self._attempt(work, "compress", compress)
        if record is None:
            return
        # the chunk is in the log now: should this fail, the next prefill reads it from there
        await self._attempt(
            work, "prefill", partial(self._stages.llm.append, self._session_id, record)
        )
        if "prefill" in work.stages_s:
            self._report(work, record)

    async def _attempt(
        self, work: _Work, stage: str, call: Callable[[], Awaitable[Result]]
    ) -> Result | None:
        """The stage's result; None when the chunk is given up or the session is over."""
        began_s = self._clock()
        try:
            with self._tracing.span(stage, parent=work.span):
                result = await insist(call, stage=stage, config=self._config.retry)
        except (SessionNotFound, SessionEnded):
            del self._due_s[work.chunk.index]
            self._is_over = True
            self._has_room.set()
            work.span.end()
            return None
        except Exception as error:
            self._log_failure(work.chunk.index, stage, error)
            del self._due_s[work.chunk.index]
            self._give_up(work.chunk.index, stage)
            fail(work.span, stage)
            work.span.end()
            return None
        work.stages_s[stage] = self._clock() - began_s
        self._metrics.stage_duration_seconds.labels(stage=stage).observe(work.stages_s[stage])
        return result

    def _report(self, work: _Work, record: ChunkRecord) -> None:
        # a chunk that was cut short by the end of its publisher is in context before its time
        # or, of a media file that is played fast, before it is due
        lag_s = max(0.0, self._clock() - self._due_s.pop(work.chunk.index))
        self._lag_s = lag_s
        self._metrics.chunks_total.inc()
        self._metrics.ingest_lag_seconds.observe(lag_s)
        data = chunk_data(work.chunk, record, lag_s=lag_s, stages_s=work.stages_s)
        self._announce("chunk", data)
        for kind, moment in marks_data(record):
            self._announce(kind, moment)
        counts_in, counts_kept = record.compressed.counts_in, record.compressed.counts_kept
        note_on(
            work.span,
            omnisift__lag_s=lag_s,
            omnisift__tokens__in=counts_in.total,
            omnisift__tokens__kept=counts_kept.total,
        )
        work.span.end()

    def _give_up(self, index: int, reason: str) -> None:
        self._metrics.chunks_dropped_total.labels(reason=reason).inc()
        self._announce("dropped", {"reason": reason, "index": index})

    def _announce(self, kind: EventType, data: Mapping[str, Any]) -> None:
        event = Event(kind, self._session_id, self._clock(), data)
        if self._on_event is not None:
            self._on_event(event)
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            logger.warning("event feed is behind: %s event lost", kind, extra=self._fields(data))

    async def _tell(self) -> None:
        while (event := await self._events.get()) is not None:
            try:
                await insist(
                    partial(self._publish, event), stage="store", config=self._config.retry
                )
            except ServiceError as error:
                logger.warning(
                    "%s event lost: %s", event.type, error, extra=self._fields(event.data)
                )

    async def _publish(self, event: Event) -> None:
        await self._store.publish(event)
        if event.type == "chunk":
            await self._store.set_lag(self._session_id, event.data["lag_s"])

    def _log_failure(self, index: int, stage: str, error: Exception) -> None:
        known = isinstance(error, ServiceError)
        logger.warning(
            "chunk given up in %s: %s",
            stage,
            error,
            exc_info=None if known else error,
            extra=self._fields({"index": index}),
        )

    def _fields(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"session_id": self._session_id, "chunk_index": data["index"]}


__all__ = ["PipelineConfig", "SessionPipeline", "Stages"]
