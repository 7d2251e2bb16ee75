"""The LLM stage on a real engine and a real Redis: chunks, questions, turns."""

import asyncio
import contextlib

import pytest

from compressor.tokens import CompressedChunk
from service.errors import BadRequest, NoMediaYet, SessionEnded, SessionNotFound
from service.llm.config import EngineConfig
from service.llm.engine import Finished
from service.sessions.record import SessionConfig, SessionId, Turn
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.logs import log_chunks
from tests.service.llm.replica import NUM_TOKENS, A, B, MakeReplica, append, question, text_of
from tests.service.llm.thinker import Thinker, build_chunk


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
