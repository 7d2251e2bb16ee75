import asyncio

import pytest

from service.errors import NotOwner, SessionEnded, SessionNotFound
from service.sessions.record import ChunkRecord, SessionConfig, SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from service.sessions.store import Lease
from service.stages import EncodedChunk
from tests.service.compression.streams import make_chunk, make_compressor
from tests.service.compression.workers import SID, MakeWorker, assert_compressed, value

pytestmark = pytest.mark.redis


async def test_session_of_another_replica_is_refused(make_worker: MakeWorker) -> None:
    await make_worker("a").compress(SID, make_chunk(0))

    with pytest.raises(NotOwner) as raised:
        await make_worker("b").compress(SID, make_chunk(1))

    assert raised.value.owner == "a"


async def test_stolen_session_goes_on_where_the_log_ends(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    a, b = make_worker("a"), make_worker("b")
    for index in range(2):
        await a.compress(SID, make_chunk(index))

    record = await b.compress(SID, make_chunk(2), steal_from="a")

    assert record.follows == 1
    assert value(b, "omnisift_rebuilds_total", stage="compressor") == 1
    with pytest.raises(NotOwner):
        await a.compress(SID, make_chunk(3))
    assert (a.num_sessions, b.num_sessions) == (0, 1)
    # back again: what `a` remembered is of an older epoch, and is not used
    assert (await a.compress(SID, make_chunk(5), steal_from="b")).follows == 2
    assert [record.index for record in await store.chunks(SID)] == [0, 1, 2, 5]


async def test_owner_that_loses_its_lease_while_computing_writes_nothing(
    make_worker: MakeWorker, store: RedisSessionStore, redis_url: str
) -> None:
    class Robbed(RedisSessionStore):
        async def append_chunk(self, lease: Lease, record: ChunkRecord) -> bool:
            await self.claim(SID, Stage.COMPRESSOR, "thief", ttl_s=60.0, steal_from="a")
            return await super().append_chunk(lease, record)

    robbed = Robbed.connect(redis_url)
    worker = make_worker("a", store=robbed)

    with pytest.raises(NotOwner, match="thief"):
        await worker.compress(SID, make_chunk(0))

    assert worker.num_sessions == 0
    assert await store.chunks(SID) == []
    await robbed.aclose()


async def test_closed_session_is_free_for_others(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    a, b = make_worker("a"), make_worker("b")
    await a.compress(SID, make_chunk(0))

    await a.close(SID)
    await a.close(SessionId("unknown"))

    assert a.num_sessions == 0
    assert (await b.compress(SID, make_chunk(1))).follows == 0


async def test_drained_worker_gives_every_session_to_whoever_asks_next(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    a, b = make_worker("a"), make_worker("b")
    await store.create(SessionId("other"), SessionConfig("paper-25"), 1.0)
    for sid in (SID, SessionId("other")):
        await a.compress(sid, make_chunk(0))

    # a chunk that is under way is logged before its lease is given back
    late, _ = await asyncio.gather(a.compress(SID, make_chunk(1)), a.drain())

    assert a.num_sessions == 0
    assert late.index == 1
    for sid, last in ((SID, 1), (SessionId("other"), 0)):
        assert Stage.COMPRESSOR not in (await store.get(sid)).owners
        assert (await b.compress(sid, make_chunk(2))).follows == last


async def test_ended_and_unknown_sessions_are_refused_and_forgotten(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    await worker.compress(SID, make_chunk(0))
    await store.end(SID, "deleted", 2.0)

    with pytest.raises(SessionEnded):
        await worker.compress(SID, make_chunk(1))
    with pytest.raises(SessionNotFound):
        await worker.compress(SessionId("unknown"), make_chunk(0))

    assert worker.num_sessions == 0
    await worker.close(SID)


async def test_memory_is_bounded_and_what_was_forgotten_goes_on(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker(max_sessions=2)
    ids = [SessionId(f"m{number}") for number in range(4)]
    for sid in ids:
        await store.create(sid, SessionConfig("live"), 1.0)
        await worker.compress(sid, make_chunk(0))

    assert worker.num_sessions == 2
    assert value(worker, "omnisift_sessions_active", stage="compressor") == 2
    assert (await worker.compress(ids[0], make_chunk(1))).follows == 0
    assert value(worker, "omnisift_rebuilds_total", stage="compressor") == 0


async def test_idle_sessions_are_forgotten(make_worker: MakeWorker) -> None:
    patient, hasty = make_worker("a"), make_worker("b", idle_s=0.0)
    await patient.compress(SID, make_chunk(0))
    await hasty.compress(SID, make_chunk(1), steal_from="a")

    assert (patient.num_sessions, hasty.num_sessions) == (1, 0)
    assert (await hasty.compress(SID, make_chunk(2))).follows == 1


async def test_replicas_that_fight_over_sessions_log_every_chunk_once(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    workers = {name: make_worker(name) for name in "abc"}
    ids = [SessionId(f"m{number}") for number in range(6)]
    for sid in ids:
        await store.create(sid, SessionConfig("paper-25"), 1.0)

    async def insist(sid: SessionId, chunk: EncodedChunk, turn: int) -> None:
        while True:
            name = "abc"[turn % 3]
            owner = (await store.get(sid)).owners.get(Stage.COMPRESSOR)
            try:
                await workers[name].compress(sid, chunk, steal_from=owner)
                return
            except NotOwner:
                turn += 1

    async def run(number: int) -> None:
        for index in range(10):
            # two replicas get the same chunk at the same time, in turn
            both = (insist(ids[number], make_chunk(index, number), index + n) for n in range(2))
            await asyncio.gather(*both)

    await asyncio.gather(*(run(number) for number in range(6)))

    for number, sid in enumerate(ids):
        records = await store.chunks(sid)
        assert [record.index for record in records] == list(range(10))
        assert [record.follows for record in records] == list(range(-1, 9))
        for record in records:
            assert_compressed(record, make_compressor(), make_chunk(record.index, number), None)
