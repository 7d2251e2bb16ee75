"""Replays a recording through all stages in this process: no WebRTC, no Ray, no clock.

Nothing is dropped for want of time, so what comes out depends on the file, the weights and the
settings alone. A Redis of its own holds the log.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import torch

from service.chunk_event import chunk_data
from service.compression.worker import CompressorWorker
from service.deployments.engine import engine_config
from service.encoder.encoder import OmniEncoder
from service.encoder.worker import EncoderWorker
from service.ingest.recording.journal import Asked
from service.ingest.recording.reader import Recording, open_recording
from service.llm.engine import Finished, Message, Question, Sampling
from service.llm.paged_engine import PagedEngine
from service.llm.worker import LLMWorker
from service.media.chunk import CHUNK_S, MediaChunk
from service.metrics import Metrics
from service.pipeline import Stages
from service.replay.chunks import cut_again
from service.replay.report import ReplayedAnswer, ReplayedChunk, Report
from service.sessions.record import SessionId
from service.sessions.redis_server import start_redis_server
from service.sessions.redis_store import RedisSessionStore
from service.sessions.store import SessionStore
from service.settings import Settings

logger = logging.getLogger(__name__)

REPLICA = "replay"
ANSWERED = ("stop", "length")


def run_replay(settings: Settings, path: Path) -> Report:
    """Replay a file.

    Raises:
        OSError: The file cannot be read.
        Unprocessable: It is no recording, was cut short, or is damaged.
    """
    recording = open_recording(path)
    torch.set_num_threads(settings.torch_threads)
    with start_redis_server() as redis_url:
        return asyncio.run(_replay(settings, recording, redis_url))


async def _replay(settings: Settings, recording: Recording, redis_url: str) -> Report:
    async with open_stages(settings, redis_url) as (stages, store):
        return await replay(recording, stages, store, model=settings.model_name)


@asynccontextmanager
async def open_stages(
    settings: Settings, redis_url: str
) -> AsyncIterator[tuple[Stages, SessionStore]]:
    """All stages in this process, by the settings."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        store = RedisSessionStore.connect(redis_url)
        stack.push_async_callback(store.aclose)
        engine = PagedEngine.from_checkpoint(
            settings.model,
            engine_config(settings),
            dtype=settings.torch_dtype,
            device=settings.device,
            metrics=metrics,
        )
        stack.push_async_callback(engine.aclose)
        encoder = OmniEncoder.from_checkpoint(
            settings.model, dtype=settings.torch_dtype, device=settings.device
        )
        encoding = EncoderWorker(encoder, metrics, max_wait_s=0.0)
        stack.push_async_callback(encoding.aclose)
        compressor = CompressorWorker.from_checkpoint(
            settings.model, store, metrics, replica=REPLICA, device=settings.device
        )
        stack.push_async_callback(compressor.aclose)
        llm = LLMWorker(engine, store, metrics, replica=REPLICA)
        yield Stages(encoding, compressor, llm), store


async def replay(
    recording: Recording, stages: Stages, store: SessionStore, *, model: str
) -> Report:
    """Bring a recording's chunks into a new session, and ask its questions when they were asked.

    Raises:
        Unprocessable: The file is damaged.
    """
    session_id = SessionId(f"s_replay_{secrets.token_hex(8)}")
    header = recording.header
    await store.create(session_id, header.config, header.recorded_at_s)
    recorded = {
        int(line.data["index"]): line.data for line in recording.told if line.event == "chunk"
    }
    waiting = [asked for asked in recording.asked if asked.finish_reason in ANSWERED]
    chunks, answers = list[ReplayedChunk](), list[ReplayedAnswer]()
    for chunk in cut_again(recording):
        chunks.append(await _bring(session_id, stages, chunk, recorded.pop(chunk.index, None)))
        due = [asked for asked in waiting if asked.context_end_s <= (chunk.index + 1) * CHUNK_S]
        waiting = [asked for asked in waiting if asked not in due]
        answers += [await _ask(session_id, stages, asked) for asked in due]
    chunks += [ReplayedChunk(index, None, data) for index, data in recorded.items()]
    answers += [ReplayedAnswer(asked, None) for asked in waiting]
    return Report(recording, model, chunks, answers)


async def _bring(
    session_id: SessionId, stages: Stages, chunk: MediaChunk, recorded: Mapping[str, Any] | None
) -> ReplayedChunk:
    try:
        encoded = await stages.encoder.encode(chunk)
        record = await stages.compressor.compress(session_id, encoded)
        await stages.llm.append(session_id, record)
    except Exception as error:
        # it is what the replay is for; later chunks are worth seeing, too
        logger.exception("chunk failed", extra={"chunk_index": chunk.index})
        return ReplayedChunk(chunk.index, None, recorded, f"{type(error).__name__}: {error}")
    data = chunk_data(chunk, record, lag_s=0.0, stages_s={})
    return ReplayedChunk(chunk.index, data, recorded)


async def _ask(session_id: SessionId, stages: Stages, asked: Asked) -> ReplayedAnswer:
    """Ask as it was, greedily: how an answer was drawn, and from which window, is not recorded."""
    sampling = Sampling(max_tokens=max(1, asked.completion_tokens))
    question = Question(secrets.token_hex(8), (Message("user", asked.question),), sampling)
    async for item in stages.llm.ask(session_id, question):
        if isinstance(item, Finished):
            return ReplayedAnswer(asked, item.text)
    raise AssertionError("an answer ended without Finished")


__all__ = ["open_stages", "replay", "run_replay"]
