"""The LLM stage while the store is away."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import StoreUnavailable
from service.sessions.record import SessionConfig
from service.sessions.redis_server import RedisServer
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.logs import log_chunks
from tests.service.llm.replica import CONFIG, A, B, Replica


@pytest.fixture
async def own_store(own_server: RedisServer) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(own_server.url)
    yield store
    await store.aclose()


async def test_questions_are_answered_from_what_is_held_while_the_store_is_away(
    own_server: RedisServer, own_store: RedisSessionStore
) -> None:
    replica = Replica(own_store, "one", CONFIG)
    [record] = await log_chunks(own_store, A, 0)
    await own_store.create(B, SessionConfig("full"), 0.0)
    await replica.worker.append(A, record)
    before = await replica.ask(A, "before")

    own_server.kill()
    during = await replica.ask(A, "during")
    with pytest.raises(StoreUnavailable):  # nothing of it is held, and nothing can be read
        await replica.ask(B, "other")
    replica.now_s += 301.0
    with pytest.raises(StoreUnavailable):  # it may be long over by now
        await replica.ask(A, "too late")
    own_server.start()
    await asyncio.sleep(0.6)  # the pause of the store's client
    [record] = await log_chunks(own_store, A, 1)
    await replica.worker.append(A, record)
    remembered = [turn.id for turn in await own_store.turns(A)]
    after = await replica.ask(A, "after")

    assert remembered[:2] == ["before", "during"]
    assert (during.text, during.context_end_s) == (before.text, before.context_end_s)
    assert after.context_end_s == 4.0
    assert replica.num_rebuilds == 0
    await replica.worker.aclose()
    await replica.engine.aclose()
