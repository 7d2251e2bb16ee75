"""Brings a recording's chunks into a session as they were cut, and asks its questions again.

No clock and no queue decide anything: nothing is dropped for want of time, and every question waits
for the chunk that it was asked after. Knows nothing about leases or publishers.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from math import inf
from typing import Any, TypeVar

from service.chunk_event import chunk_data, marks_data
from service.errors import ServiceError, SessionEnded, SessionNotFound
from service.events import Event, EventType
from service.ingest.config import Surroundings
from service.ingest.recording.asking import question_again, why_not_again
from service.ingest.recording.chunks import cut_again
from service.ingest.recording.journal import Asked
from service.ingest.recording.reader import Recording, damaged
from service.ingest.recording.report import ReplayBegun, ReplayedAnswer, ReplayedChunk, ReplayItem
from service.llm.engine import Finished
from service.media.chunk import CHUNK_S, MediaChunk
from service.retry import RetryConfig, insist
from service.sessions.record import SessionId

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
TOO_EARLY = "its moment did not come"


async def replay(
    recording: Recording,
    session_id: SessionId,
    around: Surroundings,
    *,
    has_thumbnails: bool = False,
    max_s: float = inf,
) -> AsyncGenerator[ReplayItem, None]:
    """Replay into a session that has no media; first what is replayed, then what comes of it.

    Args:
        recording: The file.
        session_id: Made with the recording's config.
        around: Stages, and whom to tell.
        has_thumbnails: Whether chunks get a small JPEG.
        max_s: Longest stream that is brought in.

    Raises:
        SessionEnded: It was ended meanwhile.
        Unprocessable: The file is damaged, or too long.
    """
    yield ReplayBegun.of(recording)
    recorded = {
        int(line.data["index"]): line.data for line in recording.told if line.event == "chunk"
    }
    waiting = [asked for asked in recording.asked if asked.is_answered]
    num_chunks = 0
    async with aclosing(_cut(recording, has_thumbnails=has_thumbnails)) as chunks:
        async for chunk in chunks:
            num_chunks += 1
            if num_chunks * CHUNK_S > max_s:
                raise damaged(f"it is longer than {max_s:g} s")
            yield await _bring(session_id, around, chunk, recorded.pop(chunk.index, None))
            end_s = (chunk.index + 1) * CHUNK_S
            due = [asked for asked in waiting if asked.reached_s <= end_s]
            waiting = [asked for asked in waiting if asked.reached_s > end_s]
            for asked in due:
                yield await _ask(session_id, around, asked)
    for index, data in recorded.items():
        yield ReplayedChunk.of(index, None, data)
    for asked in waiting:
        yield ReplayedAnswer(asked, None, TOO_EARLY)


async def _cut(recording: Recording, *, has_thumbnails: bool) -> AsyncGenerator[MediaChunk, None]:
    """The chunks; pictures are decoded off the event loop."""
    chunks = cut_again(recording, has_thumbnails=has_thumbnails)
    try:
        while (chunk := await asyncio.to_thread(_next, chunks)) is not None:
            yield chunk
    finally:
        with suppress(ValueError):  # the thread is still in it: cancelled, and closed with it
            chunks.close()


def _next(chunks: Iterator[MediaChunk]) -> MediaChunk | None:
    return next(chunks, None)


async def _bring(
    session_id: SessionId,
    around: Surroundings,
    chunk: MediaChunk,
    recorded: Mapping[str, Any] | None,
) -> ReplayedChunk:
    stages, stages_s = around.stages, dict[str, float]()

    async def through(stage: str, call: Callable[[], Awaitable[Result]]) -> Result:
        began_s = around.clock()
        result = await insist(call, stage=stage, config=RetryConfig())
        stages_s[stage] = around.clock() - began_s
        return result

    try:
        encoded = await through("encode", partial(stages.encoder.encode, chunk))
        compress = partial(stages.compressor.compress, session_id, encoded)
        record = await through("compress", compress)
        await through("prefill", partial(stages.llm.append, session_id, record))
    except (SessionEnded, SessionNotFound):
        raise
    except Exception as error:
        # it is what the replay is for; later chunks are worth seeing, too
        logger.exception("chunk failed", extra={"chunk_index": chunk.index})
        reason = error.message if isinstance(error, ServiceError) else type(error).__name__
        return ReplayedChunk.of(chunk.index, None, recorded, reason)
    around.metrics.chunks_total.inc()
    data = chunk_data(chunk, record, lag_s=0.0, stages_s=stages_s)
    await _tell(session_id, around, "chunk", data)
    for kind, moment in marks_data(record):
        await _tell(session_id, around, kind, moment)
    return ReplayedChunk.of(chunk.index, data, recorded)


async def _tell(
    session_id: SessionId, around: Surroundings, kind: EventType, data: Mapping[str, Any]
) -> None:
    """Tell the session's watchers; a replay does not fail for them."""
    try:
        await around.store.publish(Event(kind, session_id, around.clock(), data))
    except ServiceError as error:
        logger.warning("%s event lost: %s", kind, error, extra={"session_id": session_id})


async def _ask(session_id: SessionId, around: Surroundings, asked: Asked) -> ReplayedAnswer:
    reason = why_not_again(asked)
    if reason is not None:
        return ReplayedAnswer(asked, None, reason, is_compared=False)
    question = question_again(asked, secrets.token_hex(8))
    try:
        async with aclosing(around.stages.llm.ask(session_id, question)) as items:
            async for item in items:
                if isinstance(item, Finished):
                    return ReplayedAnswer(asked, item.text)
    except (SessionEnded, SessionNotFound):
        raise
    except ServiceError as error:
        return ReplayedAnswer(asked, None, error.message)
    raise AssertionError("an answer ended without Finished")


__all__ = ["replay"]
