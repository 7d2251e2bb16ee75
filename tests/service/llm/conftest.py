"""The stock model that the engine is compared with, and replicas over one store."""

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec

import pytest
import torch

from service.llm.config import EngineConfig
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.replica import CONFIG, MakeReplica, Replica
from tests.service.llm.thinker import Thinker, build_thinker

# Triton exists for Linux only
collect_ignore_glob = [] if find_spec("triton") else ["test_triton_*.py", "test_decode_graphs.py"]


@pytest.fixture(scope="session")
def thinker() -> Thinker:
    return build_thinker()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny operators only wait for each other on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_url)
    yield store
    await store.aclose()


@pytest.fixture
async def make_replica(store: RedisSessionStore) -> AsyncIterator[MakeReplica]:
    replicas: list[Replica] = []

    def make(name: str = "one", config: EngineConfig = CONFIG) -> Replica:
        replicas.append(Replica(store, name, config))
        return replicas[-1]

    yield make
    for replica in replicas:
        await replica.worker.aclose()
        await replica.engine.aclose()
