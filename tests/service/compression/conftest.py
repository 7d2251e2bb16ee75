from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from service.compression.worker import CompressorWorker, CompressorWorkerConfig
from service.metrics import Metrics
from service.sessions.record import SessionConfig
from service.sessions.redis_store import RedisSessionStore
from tests.service.compression.streams import make_selector
from tests.service.compression.workers import SID, MakeWorker


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_url)
    await store.create(SID, SessionConfig("paper-25"), 1.0)
    yield store
    await store.aclose()


@pytest.fixture
async def make_worker(store: RedisSessionStore) -> AsyncIterator[MakeWorker]:
    """Makes workers that share a selector and nothing else."""
    selector = make_selector()
    async with AsyncExitStack() as stack:

        def make(
            replica: str = "a", *, store: RedisSessionStore = store, **config: Any
        ) -> CompressorWorker:
            worker = CompressorWorker(
                selector, store, Metrics(), CompressorWorkerConfig(replica, **config)
            )
            stack.push_async_callback(worker.aclose)
            return worker

        yield make
