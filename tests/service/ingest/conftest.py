"""A replica with a real store, stages that answer at once, and limits a test can wait for."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import torch

from service.clock import steady_clock
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.liveness import LivenessConfig
from service.ingest.worker import IngestWorker
from service.media.chunker import ChunkerConfig
from service.metrics import Metrics
from service.pipeline import PipelineConfig, Stages
from service.retry import RetryConfig
from service.sessions.record import SessionConfig
from service.sessions.redis_store import RedisSessionStore
from tests.fakes import FakeCompressor, FakeEncoder, FakeLLM
from tests.service.ingest.replica import OTHER, SESSION, THIRD, Replica


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> None:
    """Threads of torch that wait for each other's cores would take most of the time."""
    torch.set_num_threads(1)


@pytest.fixture
def config() -> IngestConfig:
    """The defaults with patience in tenths of seconds."""
    return IngestConfig(
        max_sessions=2,
        tick_s=0.02,
        care_s=0.05,
        drain_s=2.0,
        liveness=LivenessConfig(no_media_s=1.0, idle_s=1.0, silent_s=0.5, takeover_s=0.3),
        chunker=ChunkerConfig(min_pixels=28 * 28, max_pixels=4 * 28 * 28),
        pipeline=PipelineConfig(retry=RetryConfig(first_backoff_s=0.02, max_backoff_s=0.1)),
    )


@pytest.fixture
def patient(config: IngestConfig) -> IngestConfig:
    """For tests in which nobody may lose patience."""
    liveness = LivenessConfig(no_media_s=60, idle_s=60, silent_s=60, takeover_s=60)
    return replace(config, liveness=liveness)


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    """A store with three open sessions."""
    store = RedisSessionStore.connect(redis_url)
    now_s = steady_clock()()
    for session_id in (SESSION, OTHER, THIRD):
        await store.create(session_id, SessionConfig("full"), now_s)
    yield store
    await store.aclose()


@pytest.fixture
def replica(store: RedisSessionStore) -> Replica:
    encoder, compressor, llm = FakeEncoder(), FakeCompressor(), FakeLLM()
    stages = Stages(encoder, compressor, llm)
    around = Surroundings("replica-1", stages, store, Metrics(), steady_clock())
    return Replica(around, encoder, compressor, llm)


@pytest.fixture
async def worker(replica: Replica, patient: IngestConfig) -> AsyncIterator[IngestWorker]:
    worker = IngestWorker(replica.around, patient)
    yield worker
    await worker.aclose()
