import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import torch

from compressor.onsets import MIN_QUIET_S, sound_onsets
from compressor.pipeline import StreamState, TokenCompressor
from service.compression.worker import CompressorWorker, CompressorWorkerConfig
from service.errors import (
    NotOwner,
    SessionEnded,
    SessionNotFound,
    StoreUnavailable,
    Unprocessable,
)
from service.media.chunk import Marks
from service.metrics import Metrics
from service.sessions.record import ChunkRecord, SessionConfig, SessionId, Stage
from service.sessions.redis_client import RedisClientConfig
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig
from service.sessions.store import Lease
from service.stages import CompressorStage, EncodedChunk
from tests.records import assert_same_record
from tests.service.compression.streams import (
    SIZES,
    make_chunk,
    make_compressor,
    make_selector,
    make_still_chunk,
)
from tests.service.sessions.proxy import LossyProxy

pytestmark = pytest.mark.redis

SID = SessionId("s1")
MakeWorker = Callable[..., CompressorWorker]


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


def value(worker: CompressorWorker, name: str, **labels: str) -> float:
    return worker._metrics.registry.get_sample_value(name, labels) or 0.0


def assert_compressed(
    record: ChunkRecord, compressor: TokenCompressor, chunk: EncodedChunk, state: StreamState | None
) -> StreamState:
    expected, state = compressor.compress(chunk.tokens, state)
    assert torch.equal(record.compressed.kept, expected.kept)
    assert torch.equal(record.compressed.embeddings, expected.embeddings)
    assert (record.grid_sizes, record.gaps) == (chunk.grid_sizes, chunk.gaps)
    return state


def test_the_worker_is_a_compressor_stage(make_worker: MakeWorker) -> None:
    stage: CompressorStage = make_worker()

    assert stage


@pytest.mark.parametrize("profile", ["paper-25", "live", "speech"])
async def test_logged_stream_is_what_the_compressor_makes_of_it(
    make_worker: MakeWorker, store: RedisSessionStore, profile: str
) -> None:
    sid = SessionId(profile)
    await store.create(sid, SessionConfig(profile), 1.0)
    worker, compressor = make_worker(), make_compressor(profile)
    state: StreamState | None = None

    for index in range(6):
        record = await worker.compress(sid, make_chunk(index))

        state = assert_compressed(record, compressor, make_chunk(index), state)
        logged = await store.chunk(sid, index)
        assert logged is not None
        assert_same_record(logged, record)


async def test_ratios_of_the_session_override_its_profile(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    await store.create(SessionId("own"), SessionConfig("paper-25", 0.5, 1.0), 1.0)

    record = await make_worker().compress(SessionId("own"), make_chunk(0))

    assert (record.compressed.counts_kept.video, record.compressed.counts_kept.audio) == (12, 10)


async def test_record_names_the_entry_before_it(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    for index in (0, 1, 4, 9):
        await worker.compress(SID, make_chunk(index))

    assert [record.follows for record in await store.chunks(SID)] == [-1, 0, 1, 4]


async def test_chunk_sent_again_is_answered_from_the_log(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    records = [await worker.compress(SID, make_chunk(index)) for index in range(3)]

    again = await worker.compress(SID, make_chunk(1))

    assert_same_record(again, records[1])
    assert (await store.get(SID)).num_chunks == 3
    assert value(worker, "omnisift_tokens_total", modality="video", stage="in") == 3 * 24


async def test_chunk_that_came_too_late_is_refused(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.compress(SID, make_chunk(0))
    await worker.compress(SID, make_chunk(2))

    with pytest.raises(Unprocessable, match="chunk 1 came after chunk 2"):
        await worker.compress(SID, make_chunk(1))
    assert (await worker.compress(SID, make_chunk(3))).follows == 2


async def test_chunks_of_one_session_sent_at_once_stay_in_order(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()

    await asyncio.gather(*(worker.compress(SID, make_chunk(index)) for index in range(8)))

    assert [r.follows for r in await store.chunks(SID)] == list(range(-1, 7))


async def test_concurrent_sessions_never_mix(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    profiles = ["live", "paper-25", "full", "live"]
    for stream, profile in enumerate(profiles):
        await store.create(SessionId(f"m{stream}"), SessionConfig(profile), 1.0)

    async def run(stream: int) -> None:
        for index in range(5):
            await worker.compress(SessionId(f"m{stream}"), make_chunk(index, stream))

    await asyncio.gather(*(run(stream) for stream in range(4)))

    for stream, profile in enumerate(profiles):
        compressor, state = make_compressor(profile), None
        for record in await store.chunks(SessionId(f"m{stream}")):
            chunk = make_chunk(record.index, stream)
            state = assert_compressed(record, compressor, chunk, state)


async def test_bad_chunk_hurts_neither_its_session_nor_others(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    await store.create(SessionId("other"), SessionConfig("paper-25"), 1.0)
    worker = make_worker()
    bad = make_chunk(0)
    bad.tokens.audio[3, 3] = float("nan")

    results = await asyncio.gather(
        worker.compress(SID, bad),
        worker.compress(SessionId("other"), make_chunk(0)),
        return_exceptions=True,
    )

    assert isinstance(results[0], ValueError)
    assert isinstance(results[1], ChunkRecord)
    assert (await worker.compress(SID, make_chunk(1))).follows == -1


# owning


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


# an unreliable store


async def test_chunk_logged_by_an_unanswered_call_is_found_by_the_next(
    make_worker: MakeWorker, store: RedisSessionStore, redis_url: str
) -> None:
    hasty = RedisStoreConfig(client=RedisClientConfig(max_retries=0, pause_s=0.0))
    async with LossyProxy(redis_url).running() as proxy:
        shaky = RedisSessionStore.connect(proxy.url, hasty)
        worker = make_worker("a", store=shaky)
        await worker.compress(SID, make_chunk(0))
        proxy.lose_replies(1, to=b"embeddings")

        with pytest.raises(StoreUnavailable):
            await worker.compress(SID, make_chunk(1))
        record = await worker.compress(SID, make_chunk(1))
        after = await worker.compress(SID, make_chunk(2))
        await shaky.aclose()

    assert proxy.num_lost == 1
    assert (record.follows, after.follows) == (0, 1)
    assert (await store.get(SID)).num_chunks == 3


@pytest.mark.parametrize("is_logged", [False, True])
@pytest.mark.parametrize("is_repeated", [False, True])
async def test_unanswered_append_costs_the_stream_none_of_its_memory(
    make_worker: MakeWorker,
    store: RedisSessionStore,
    redis_url: str,
    is_logged: bool,
    is_repeated: bool,
) -> None:
    sid = SessionId("live")
    await store.create(sid, SessionConfig("live"), 1.0)
    hasty = RedisStoreConfig(client=RedisClientConfig(max_retries=0, pause_s=0.0))
    async with LossyProxy(redis_url).running() as proxy:
        shaky = RedisSessionStore.connect(proxy.url, hasty)
        worker = make_worker(store=shaky)
        for index in range(3):
            await worker.compress(sid, make_still_chunk(index))
        lose = proxy.lose_replies if is_logged else proxy.lose_requests
        lose(1, to=b"embeddings")

        with pytest.raises(StoreUnavailable):
            await worker.compress(sid, make_still_chunk(3))
        for index in range(3 if is_repeated else 4, 7):
            await worker.compress(sid, make_still_chunk(index))
        await shaky.aclose()

    # as undisturbed: with the chunk where it came into the log at last, without it where it did not
    records = await store.chunks(sid)
    assert (3 in [record.index for record in records]) == (is_logged or is_repeated)
    compressor, state = make_compressor("live"), None
    for record in records:
        state = assert_compressed(record, compressor, make_still_chunk(record.index), state)


async def test_reply_lost_and_sent_again_by_the_store_is_no_duplicate(
    make_worker: MakeWorker, store: RedisSessionStore, redis_url: str
) -> None:
    async with LossyProxy(redis_url).running() as proxy:
        shaky = RedisSessionStore.connect(proxy.url)
        worker = make_worker("a", store=shaky)
        for index in range(3):
            proxy.lose_replies(1, to=b"embeddings")
            await worker.compress(SID, make_chunk(index))
            assert proxy.num_lost == 1
        await shaky.aclose()

    assert [record.follows for record in await store.chunks(SID)] == [-1, 0, 1]
    assert value(worker, "omnisift_tokens_total", modality="video", stage="in") == 3 * 24


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


# metrics


async def test_tokens_and_ratios_are_counted(make_worker: MakeWorker) -> None:
    worker = make_worker()
    records = [await worker.compress(SID, make_chunk(index)) for index in range(3)]

    kept = [record.compressed.counts_kept for record in records]
    for modality, num_in in (("video", 72), ("audio", 20)):
        num_kept = sum(getattr(counts, modality) for counts in kept)
        for stage, number in (("in", num_in), ("kept", num_kept)):
            name = "omnisift_tokens_total"
            assert value(worker, name, modality=modality, stage=stage) == number
    assert value(worker, "omnisift_keep_ratio_count", modality="video") == 3
    assert value(worker, "omnisift_keep_ratio_count", modality="audio") == 2  # one had none
    assert value(worker, "omnisift_keep_ratio_sum", modality="video") == pytest.approx(3 * 6 / 24)


async def test_onsets_are_logged_with_the_chunk(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker, compressor = make_worker(), make_compressor()
    compressed, _ = compressor.compress(make_chunk(0).tokens)
    expected, _ = sound_onsets(compressed, SIZES.quiet_score, -MIN_QUIET_S)
    marks = Marks(cuts_s=(1.0,), thumbnail=b"jpeg")

    await worker.compress(SID, replace(make_chunk(0), marks=marks))

    (record,) = await store.chunks(SID)
    assert expected
    assert record.marks == replace(marks, onsets_s=expected)
