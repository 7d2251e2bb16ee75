"""The whole service in one process: the real workers over a real Redis, behind real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from service.access.limits import KeyLimits
from service.api.backend import ModelInfo
from service.clock import steady_clock
from service.compression.worker import CompressorWorker
from service.encoder.encoder import OmniEncoder
from service.encoder.worker import EncoderWorker
from service.errors import AtCapacity
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.desk import SourceDesk
from service.ingest.worker import IngestWorker
from service.llm.config import EngineConfig
from service.llm.paged_engine import PagedEngine
from service.llm.worker import LLMWorker
from service.metrics import Metrics, merge_expositions
from service.pipeline import Stages
from service.sessions.quotas import Quotas, RedisQuotas
from service.sessions.redis_store import RedisSessionStore
from service.stages import LLMStage
from tests.eventually import eventually
from tests.fakes import FakeCompressor, FakeEncoder, FakeLLM

REPLICA = "local"
MODEL = ModelInfo("stand-in", 0)


@dataclass(frozen=True)
class LocalBackend:
    """`service.api.backend.Backend` without a cluster."""

    store: RedisSessionStore
    ingest: IngestWorker
    llm: LLMStage
    quotas: Quotas
    metrics: Metrics
    model: ModelInfo = MODEL

    @property
    def sources(self) -> SourceDesk:
        return self.ingest.sources

    def admit(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()  # it takes any number of sessions

    async def shortage(self) -> str | None:
        return None

    async def checks(self) -> Mapping[str, str]:
        await self.store.ping()
        return {"Redis": "ok"}

    async def exposition(self) -> bytes:
        return merge_expositions([("Local", REPLICA, self.metrics.exposition())])


class FullBackend(LocalBackend):
    """One that has no room for another session."""

    @classmethod
    def of(cls, backend: LocalBackend) -> "FullBackend":
        return cls(*(getattr(backend, field.name) for field in fields(backend)))

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        raise AtCapacity(stage="encoder", limit=1)
        yield


@asynccontextmanager
async def local_backend(
    redis_url: str,
    checkpoint: Path,
    *,
    engine_config: EngineConfig | None = None,
    ingest_config: IngestConfig | None = None,
    logs_prompts: bool = False,
) -> AsyncIterator[LocalBackend]:
    """Every stage in this process, on the checkpoint's weights."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        store = RedisSessionStore.connect(redis_url)
        stack.push_async_callback(store.aclose)
        engine = PagedEngine.from_checkpoint(
            checkpoint, engine_config or EngineConfig(num_pages=512), metrics=metrics
        )
        stack.push_async_callback(engine.aclose)
        llm = LLMWorker(engine, store, metrics, replica=REPLICA, logs_prompts=logs_prompts)
        encoder = EncoderWorker(OmniEncoder.from_checkpoint(checkpoint), metrics)
        stack.push_async_callback(encoder.aclose)
        compressor = CompressorWorker.from_checkpoint(checkpoint, store, metrics, replica=REPLICA)
        stack.push_async_callback(compressor.aclose)
        around = Surroundings(
            REPLICA, Stages(encoder, compressor, llm), store, metrics, steady_clock()
        )
        ingest = IngestWorker(around, ingest_config or IngestConfig())
        stack.push_async_callback(ingest.aclose)
        quotas = RedisQuotas.connect(redis_url, KeyLimits(), session_s=3600.0)
        stack.push_async_callback(quotas.aclose)
        yield LocalBackend(store, ingest, llm, quotas, metrics)


@asynccontextmanager
async def fake_backend(
    redis_url: str,
    limits: KeyLimits | None = None,
    *,
    encoder: FakeEncoder | None = None,
    ingest_config: IngestConfig | None = None,
) -> AsyncIterator[LocalBackend]:
    """Real Redis and ingest over stages that answer at once: made in no time, without a model."""
    metrics, llm = Metrics(), FakeLLM()
    async with AsyncExitStack() as stack:
        store = RedisSessionStore.connect(redis_url)
        stack.push_async_callback(store.aclose)
        stages = Stages(encoder or FakeEncoder(), FakeCompressor(), llm)
        around = Surroundings(REPLICA, stages, store, metrics, steady_clock())
        ingest = IngestWorker(around, ingest_config or IngestConfig())
        stack.push_async_callback(ingest.aclose)
        quotas = RedisQuotas.connect(redis_url, limits or KeyLimits(), session_s=3600.0)
        stack.push_async_callback(quotas.aclose)
        yield LocalBackend(store, ingest, llm, quotas, metrics)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` on a free loopback port; yields its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve())
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await serving
