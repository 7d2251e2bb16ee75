"""Sessions that are lost, closed, handed over and made to give way."""

import asyncio

import pytest

from service.errors import AtCapacity, NotOwner
from service.llm.config import EngineConfig
from service.sessions.record import SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.logs import log_chunks
from tests.service.llm.replica import A, B, MakeReplica, append, text_of
from tests.service.llm.thinker import Thinker


async def test_replica_that_lost_its_lease_lets_go(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    first, second = make_replica("one"), make_replica("two")
    records = await log_chunks(store, A, 0, 1)
    await append(first.worker, A, records)
    await append(second.worker, B, await log_chunks(store, B, 0))

    await second.worker.append(A, records[1], steal_from="one")

    with pytest.raises(NotOwner) as caught:
        await first.ask(A)
    assert caught.value.owner == "two"
    assert first.engine.stats().sessions == 0
    with pytest.raises(NotOwner):
        await first.worker.append(A, records[1])
    assert second.engine.held(A) == [0, 1]


async def test_closed_session_gives_back_pages_and_lease(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0))

    await replica.worker.close(A)
    await replica.worker.close(A)

    assert replica.engine.stats().pages_used == 0
    assert Stage.LLM not in (await store.get(A)).owners
    assert replica.metric("omnisift_sessions_active", stage="llm") == 0


async def test_drained_replica_gives_every_session_to_whoever_asks_next(
    make_replica: MakeReplica, store: RedisSessionStore, thinker: Thinker
) -> None:
    one, other = make_replica("one"), make_replica("other")
    await append(one.worker, A, await log_chunks(store, A, 0))
    await append(one.worker, B, await log_chunks(store, B, 0))
    [late] = await log_chunks(store, A, 1)

    # a chunk that is under way comes into context before its session is given back
    await asyncio.gather(one.worker.append(A, late), one.worker.drain())

    assert one.engine.stats().pages_used == 0
    assert one.worker.num_sessions == 0
    for session_id, indices in ((A, (0, 1)), (B, (0,))):
        assert Stage.LLM not in (await store.get(session_id)).owners
        assert (await other.ask(session_id)).text == text_of(thinker, *indices)


async def test_idle_sessions_give_way_oldest_first(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    config = EngineConfig(num_pages=24, step_tokens=64, context_tokens=150)
    replica = make_replica("one", config)
    names = [SessionId(str(number)) for number in range(3)]
    for session_id in names:
        replica.now_s += 100.0
        await append(replica.worker, session_id, await log_chunks(store, session_id, 0, 1, 2))

    held = [session_id for session_id in names if replica.engine.held(session_id)]
    assert names[-1] in held
    assert names[0] not in held
    assert replica.worker.num_sessions == len(held)

    replica.now_s += 100.0
    end = await replica.ask(names[0])  # it is rebuilt, and another gives way
    assert end.context_end_s == 6.0


async def test_busy_sessions_do_not_give_way(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    config = EngineConfig(num_pages=12, step_tokens=64, context_tokens=150)
    replica = make_replica("one", config)
    await append(replica.worker, A, await log_chunks(store, A, 0, 1, 2))

    with pytest.raises(AtCapacity):
        await append(replica.worker, B, await log_chunks(store, B, 0))

    assert replica.engine.held(A) == [0, 1, 2]
    assert replica.worker.num_sessions == 1
