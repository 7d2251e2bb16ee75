"""Which entries of a real log a context is made of again."""

from collections.abc import AsyncIterator

import pytest

from service.llm.replay import newest_entries
from service.sessions.record import SessionConfig, SessionId
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig
from tests.service.llm.logs import log_chunks
from tests.service.llm.thinker import build_chunk

A = SessionId("a")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_url, RedisStoreConfig(max_log_chunks=64))
    yield store
    await store.aclose()


async def newest(store: RedisSessionStore, *, after: int = -1, max_tokens: int) -> list[int]:
    session = await store.get(A)
    entries = await newest_entries(store, session, after=after, max_tokens=max_tokens)
    return [entry.index for entry in entries]


def num_tokens(*indices: int) -> int:
    return sum(len(build_chunk(index, seed=1).embeddings) for index in indices)


async def test_empty_log_gives_nothing(store: RedisSessionStore) -> None:
    await store.create(A, SessionConfig("full"), now_s=0.0)

    assert await newest(store, max_tokens=100) == []


async def test_newest_entries_fill_the_budget(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(40))

    assert await newest(store, max_tokens=num_tokens(37, 38, 39)) == [37, 38, 39]
    assert await newest(store, max_tokens=num_tokens(37, 38, 39) - 1) == [38, 39]
    assert await newest(store, max_tokens=100_000) == list(range(40))


async def test_only_what_is_missing_is_given(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(10))

    assert await newest(store, after=6, max_tokens=100_000) == [7, 8, 9]
    assert await newest(store, after=9, max_tokens=100_000) == []


async def test_missing_numbers_do_not_shorten_what_is_read(store: RedisSessionStore) -> None:
    indices = [*range(20), 500, 1000, 1001]
    await log_chunks(store, A, *indices)

    assert await newest(store, max_tokens=num_tokens(*indices[-8:])) == indices[-8:]


async def test_entries_that_left_the_log_are_not_waited_for(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(80))

    assert await newest(store, max_tokens=100_000) == list(range(16, 80))
