"""Contexts that are made again from the log, on a real engine and a real Redis."""

import pytest

from service.llm.config import EngineConfig
from service.llm.engine import Finished
from service.llm.policy import Fifo, Policy, Progressive
from service.sessions.record import ChunkRecord, Stage
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.logs import log_chunks
from tests.service.llm.replica import A, MakeReplica, append, question
from tests.service.llm.thinker import build_chunk


async def test_other_replica_rebuilds_and_gives_the_same_answer(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    first, second = make_replica("one"), make_replica("two")
    await append(first.worker, A, await log_chunks(store, A, 0, 1, 2))
    before = await first.ask(A, "before")

    items = [i async for i in second.worker.ask(A, question("after"), steal_from="one")]

    assert isinstance(items[-1], Finished)
    assert items[-1].text == before.text
    assert second.num_rebuilds == 1
    assert second.engine.held(A) == [0, 1, 2]


async def test_regained_session_applies_what_it_missed(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    first, second = make_replica("one"), make_replica("two")
    await append(first.worker, A, await log_chunks(store, A, 0, 1))
    for record in await log_chunks(store, A, 2, 3):
        await second.worker.append(A, record, steal_from="one")

    items = [i async for i in first.worker.ask(A, question(), steal_from="two")]

    assert isinstance(items[-1], Finished)
    assert items[-1].context_end_s == 8.0
    assert first.engine.held(A) == [0, 1, 2, 3]
    assert first.num_rebuilds == 0  # what it held was still good


@pytest.mark.parametrize("policy", [Fifo(), Fifo(2), Progressive(0.4)], ids=str)
async def test_rebuilt_context_holds_the_same_units_with_the_same_tokens(
    make_replica: MakeReplica, store: RedisSessionStore, policy: Policy
) -> None:
    config = EngineConfig(num_pages=200, step_tokens=64, context_tokens=160, policy=policy)
    live, rebuilt = make_replica("one", config), make_replica("two", config)
    await append(live.worker, A, await log_chunks(store, A, *range(30)))
    before = await live.ask(A, "before")

    items = [i async for i in rebuilt.worker.ask(A, question(), steal_from="one")]

    assert isinstance(items[-1], Finished)
    assert rebuilt.engine.units(A) == live.engine.units(A)
    assert items[-1].prompt_tokens == before.prompt_tokens
    assert items[-1].context_start_s == before.context_start_s
    per_chunk = sum(len(build_chunk(index, seed=1).embeddings) for index in range(30)) / 30
    assert rebuilt.engine.stats().chunk_tokens < 12 * per_chunk + 100  # not the whole log


async def test_no_more_is_written_than_is_left(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    policy = Progressive(0.4, (1.0, 0.25))
    config = EngineConfig(num_pages=200, step_tokens=64, context_tokens=300, policy=policy)
    replica = make_replica("one", config)
    await log_chunks(store, A, *range(30))

    end = await replica.ask(A)

    assert replica.engine.stats().chunk_tokens == end.prompt_tokens - end.tail_tokens
    units = replica.engine.units(A)
    assert any(0 < unit.held.video < unit.arrived.video for unit in units)


@pytest.mark.parametrize("short_of", ["sense", "pages"])
async def test_chunks_that_cannot_enter_together_enter_one_by_one(
    make_replica: MakeReplica, store: RedisSessionStore, short_of: str
) -> None:
    num_pages = 20 if short_of == "pages" else 200
    config = EngineConfig(num_pages=num_pages, step_tokens=64, context_tokens=500)
    replica = make_replica("one", config)
    await log_chunks(store, A, *range(8))
    if short_of == "sense":
        lease = await store.claim(A, Stage.COMPRESSOR, "compressor", ttl_s=60.0)
        bad = build_chunk(8, seed=1)
        bad.embeddings[0] = float("nan")
        assert await store.append_chunk(lease, ChunkRecord(8, 7, bad))
    await log_chunks(store, A, 9, 10)

    end = await replica.ask(A)

    assert end.context_end_s == 22.0
    held = replica.engine.held(A)
    assert 8 not in held
    assert held[-2:] == [9, 10]
    assert (0 in held) == (short_of == "sense")


@pytest.mark.parametrize("policy", [Fifo(), Fifo(2), Progressive(0.4)], ids=str)
async def test_context_left_far_behind_starts_over(
    make_replica: MakeReplica, store: RedisSessionStore, policy: Policy
) -> None:
    config = EngineConfig(num_pages=200, step_tokens=64, context_tokens=160, policy=policy)
    live, absent = make_replica("one", config), make_replica("two", config)
    records = await log_chunks(store, A, *range(4))
    await append(absent.worker, A, records)
    for record in [*records, *await log_chunks(store, A, *range(4, 30))]:
        await live.worker.append(A, record, steal_from="two")

    items = [i async for i in absent.worker.ask(A, question(), steal_from="one")]

    assert isinstance(items[-1], Finished)
    assert absent.engine.units(A) == live.engine.units(A)
    await absent.worker.close(A)
    assert Stage.LLM not in (await store.get(A)).owners
