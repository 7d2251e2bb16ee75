import pytest

from service.errors import StoreUnavailable
from service.sessions.record import SessionConfig, SessionId
from service.sessions.redis_client import RedisClientConfig
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig
from tests.service.compression.streams import make_chunk, make_compressor, make_still_chunk
from tests.service.compression.workers import SID, MakeWorker, assert_compressed, value
from tests.service.sessions.proxy import LossyProxy

pytestmark = pytest.mark.redis


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
