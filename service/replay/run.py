"""Replays a recording through all stages in this process: no WebRTC, no Ray, no clock.

Nothing is dropped for want of time, so what comes out depends on the file, the weights and the
settings alone. A Redis of its own holds the log.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import torch

from service.clock import steady_clock
from service.compression.worker import CompressorWorker
from service.deployments.engine import engine_config
from service.encoder.encoder import OmniEncoder
from service.encoder.worker import EncoderWorker
from service.ingest.config import Surroundings
from service.ingest.recording.reader import Recording, open_recording
from service.ingest.recording.replay import replay
from service.ingest.recording.report import ReplayBegun, ReplayedAnswer, ReplayedChunk, Report
from service.llm.paged_engine import PagedEngine
from service.llm.worker import LLMWorker
from service.metrics import Metrics
from service.pipeline import Stages
from service.sessions.record import SessionId
from service.sessions.redis_server import start_redis_server
from service.sessions.redis_store import RedisSessionStore
from service.settings import Settings

REPLICA = "replay"


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
    async with open_stages(settings, redis_url) as around:
        return await report_of(recording, around, model=settings.model_name)


@asynccontextmanager
async def open_stages(settings: Settings, redis_url: str) -> AsyncIterator[Surroundings]:
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
        stages = Stages(encoding, compressor, llm)
        yield Surroundings(REPLICA, stages, store, metrics, steady_clock())


async def report_of(recording: Recording, around: Surroundings, *, model: str) -> Report:
    """Replay into a new session.

    Raises:
        Unprocessable: The file is damaged.
    """
    session_id = SessionId(f"s_replay_{secrets.token_hex(8)}")
    header = recording.header
    await around.store.create(session_id, header.config, header.recorded_at_s)
    begun = ReplayBegun.of(recording)
    chunks, answers = list[ReplayedChunk](), list[ReplayedAnswer]()
    async for item in replay(recording, session_id, around):
        if isinstance(item, ReplayedChunk):
            chunks.append(item)
        elif isinstance(item, ReplayedAnswer):
            answers.append(item)
    return Report(begun, model, chunks, answers)


__all__ = ["open_stages", "report_of", "run_replay"]
