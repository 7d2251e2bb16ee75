"""The LLM stage on a real engine and a real Redis: order, ownership, rebuilding, turns."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from compressor.tokens import CompressedChunk
from service.errors import (
    AtCapacity,
    BadRequest,
    NoMediaYet,
    NotOwner,
    SessionEnded,
    SessionNotFound,
    StoreUnavailable,
)
from service.llm.config import EngineConfig
from service.llm.engine import Finished, Message, Question, Sampling
from service.llm.paged_engine import PagedEngine
from service.llm.policy import Fifo, Policy, Progressive
from service.llm.worker import LLMWorker
from service.metrics import Metrics
from service.sessions.record import ChunkRecord, SessionConfig, SessionId, Stage, Turn
from service.sessions.redis_server import RedisServer
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.logs import log_chunks
from tests.service.llm.thinker import Thinker, build_chunk, build_scheduler, greedy

A, B = SessionId("a"), SessionId("b")
CONFIG = EngineConfig(num_pages=200, step_tokens=64, context_tokens=1000)
NUM_TOKENS = 8


class Replica:
    """A worker with its own engine and metrics."""

    def __init__(self, store: RedisSessionStore, name: str, config: EngineConfig) -> None:
        self.engine = PagedEngine(build_scheduler(config, now=time.perf_counter))
        self.metrics = Metrics()
        self.now_s = 1000.0
        self.worker = LLMWorker(
            self.engine,
            store,
            self.metrics,
            replica=name,
            lease_s=30.0,
            clock=lambda: self.now_s,
        )

    async def ask(self, session_id: SessionId, name: str = "q", **how: object) -> Finished:
        items = [item async for item in self.worker.ask(session_id, question(name, **how))]
        assert isinstance(items[-1], Finished)
        return items[-1]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    @property
    def num_rebuilds(self) -> float:
        return self.metric("omnisift_rebuilds_total", stage="llm")


MakeReplica = Callable[..., Replica]


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


def question(name: str = "q", *, max_tokens: int = NUM_TOKENS) -> Question:
    return Question(name, (Message("user", "what?"),), Sampling(max_tokens=max_tokens))


async def append(worker: LLMWorker, session_id: SessionId, records: list[ChunkRecord]) -> None:
    for record in records:
        await worker.append(session_id, record)


def text_of(thinker: Thinker, *indices: int) -> str:
    chunks = [build_chunk(index, seed=1) for index in indices]
    answer = bytes(greedy(thinker, chunks, "what?", NUM_TOKENS))
    return answer.decode(errors="replace")


async def test_appended_chunks_are_answered_from(
    make_replica: MakeReplica, store: RedisSessionStore, thinker: Thinker
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0))
    await append(replica.worker, A, await log_chunks(store, A, 1, 2))

    end = await replica.ask(A)

    assert end.text == text_of(thinker, 0, 1, 2)
    assert end.context_end_s == 6.0
    assert replica.num_rebuilds == 0
    assert replica.worker.num_sessions == 1
    assert replica.metric("omnisift_sessions_active", stage="llm") == 1


async def test_chunk_sent_twice_is_applied_once(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    records = await log_chunks(store, A, 0, 1)

    await append(replica.worker, A, [*records, *records, records[0]])

    assert replica.engine.held(A) == [0, 1]


async def test_missed_chunks_are_read_from_the_log(
    make_replica: MakeReplica, store: RedisSessionStore, thinker: Thinker
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0))
    records = await log_chunks(store, A, 1, 4, 5)

    await replica.worker.append(A, records[-1])

    assert replica.engine.held(A) == [0, 1, 4, 5]
    assert (await replica.ask(A)).text == text_of(thinker, 0, 1, 4, 5)


async def test_concurrent_appends_are_applied_in_order(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    of_a = await log_chunks(store, A, *range(6))
    of_b = await log_chunks(store, B, *range(6))

    await asyncio.gather(
        *(replica.worker.append(A, record) for record in reversed(of_a)),
        *(replica.worker.append(B, record) for record in of_b),
    )

    assert replica.engine.held(A) == replica.engine.held(B) == list(range(6))


async def test_question_does_not_wait_for_a_chunk_under_way(
    make_replica: MakeReplica,
    store: RedisSessionStore,
    thinker: Thinker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0))
    has_begun, may_go_on, append_now = asyncio.Event(), asyncio.Event(), replica.engine.append

    async def append_later(session_id: SessionId, chunk: CompressedChunk) -> None:
        has_begun.set()
        await may_go_on.wait()
        await append_now(session_id, chunk)

    monkeypatch.setattr(replica.engine, "append", append_later)
    [record] = await log_chunks(store, A, 1)
    # what fails in here is raised, and holds up neither the other nor the end of the test
    async with asyncio.TaskGroup() as group:
        group.create_task(replica.worker.append(A, record))
        try:
            await has_begun.wait()
            end = await replica.ask(A)
        finally:
            may_go_on.set()

    assert (end.text, end.context_end_s) == (text_of(thinker, 0), 2.0)
    assert replica.engine.held(A) == [0, 1]


async def test_question_before_any_media_is_refused(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    await store.create(A, SessionConfig("full"), now_s=0.0)

    with pytest.raises(NoMediaYet):
        await replica.ask(A)

    assert await store.turns(A) == []
    assert replica.num_rebuilds == 0


async def test_unknown_and_ended_sessions_are_refused_and_freed(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    records = await log_chunks(store, A, 0, 1)
    await append(replica.worker, A, records)
    await store.end(A, "deleted", now_s=5.0)

    with pytest.raises(SessionNotFound):
        await replica.ask(SessionId("nobody"))
    with pytest.raises(SessionEnded):
        await replica.worker.append(A, records[1])

    assert replica.engine.stats().sessions == 0
    assert replica.worker.num_sessions == 0


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


async def test_turn_is_stored_by_the_time_the_answer_ends(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0, 1))

    async for item in replica.worker.ask(A, question("q1")):
        if isinstance(item, Finished):
            [turn] = await store.turns(A)
            assert (turn.id, turn.question, turn.answer) == ("q1", "what?", item.text)
            assert (turn.finish_reason, turn.context_end_s) == ("length", 4.0)
            assert turn.asked_at_s == 1000.0
            [(_, event)] = await store.events(A, after=None, block_s=0)
            assert (event.type, event.data["answer"]) == ("turn", item.text)

    assert replica.metric("omnisift_queries_total", outcome="length") == 1
    assert replica.metric("omnisift_generated_tokens_total") == NUM_TOKENS


async def test_abandoned_answer_is_remembered_as_cancelled(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0, 1))
    items = replica.worker.ask(A, question(max_tokens=3000))

    said = [await anext(items), await anext(items)]
    await items.aclose()

    [turn] = await store.turns(A)
    assert isinstance(turn, Turn)
    assert (turn.finish_reason, turn.context_end_s) == ("cancelled", 4.0)
    assert turn.answer == "".join(item.text for item in said)
    assert replica.metric("omnisift_queries_total", outcome="cancelled") == 1
    await replica.engine.abort("nobody")
    assert replica.engine.stats().running == 0


async def test_refused_question_counts_as_an_error_and_leaves_no_turn(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    await append(replica.worker, A, await log_chunks(store, A, 0))

    with pytest.raises(BadRequest):
        await replica.ask(A, max_tokens=0)

    assert await store.turns(A) == []
    assert replica.metric("omnisift_queries_total", outcome="error") == 1


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


async def test_chunk_that_never_fits_is_left_out_and_later_ones_come(
    make_replica: MakeReplica, store: RedisSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = [len(build_chunk(index, seed=1).embeddings) for index in range(8)]
    limit = max(sizes[:4]) - 1
    too_large = sizes.index(limit + 1)
    config = EngineConfig(num_pages=200, step_tokens=64, context_tokens=limit)
    small = next(index for index in range(too_large + 1, 8) if sizes[index] <= limit)
    replica = make_replica("one", config)
    [large] = await log_chunks(store, A, too_large)
    await store.create(B, SessionConfig("full"), now_s=0.0)

    with pytest.raises(NoMediaYet):
        await replica.ask(B)
    with pytest.raises(BadRequest, match="over the context"):
        await replica.worker.append(B, large)
    [later] = await log_chunks(store, A, small)
    await replica.worker.append(A, later)

    assert replica.engine.held(A) == [small]
    assert replica.engine.held(B) == []


async def test_cancelled_caller_leaves_a_session_in_order(
    make_replica: MakeReplica, store: RedisSessionStore
) -> None:
    replica = make_replica()
    records = await log_chunks(store, A, *range(4))
    for delay_s, record in zip((0.0, 0.001, 0.005), records, strict=False):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await replica.worker.append(A, record)

    await replica.worker.append(A, records[3])

    assert replica.engine.held(A) == [0, 1, 2, 3]
    assert replica.worker.num_sessions == 1


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


# without the store


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
