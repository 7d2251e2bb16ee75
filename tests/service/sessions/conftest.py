"""Both Redis servers that are supported: the bundled binary (6.2) and the system's (7 or newer)."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from service.sessions.redis_server import (
    bundled_redis_server,
    find_redis_server,
    start_redis_server,
)
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig

MakeStore = Callable[..., RedisSessionStore]
BINARIES = {"bundled": bundled_redis_server, "system": find_redis_server}


@pytest.fixture(scope="session", params=BINARIES)
def redis_server(request: pytest.FixtureRequest) -> Iterator[str]:
    binary = BINARIES[request.param]()
    assert binary is not None, f"no {request.param} redis-server: make system"
    with start_redis_server(binary) as url:
        yield url


@pytest.fixture
def admin(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the server under test, to look at it and to disturb it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def make_store(redis_url: str) -> AsyncIterator[MakeStore]:
    """Makes stores with fields of `RedisStoreConfig`; they are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(**fields: Any) -> RedisSessionStore:
            store = RedisSessionStore.connect(redis_url, RedisStoreConfig(**fields))
            stack.push_async_callback(store.aclose)
            return store

        yield make


@pytest.fixture
def store(make_store: MakeStore) -> RedisSessionStore:
    return make_store(max_log_chunks=8)
