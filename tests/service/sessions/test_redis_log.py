from dataclasses import replace

import pytest
import redis
import torch

from compressor.tokens import TokenCounts
from service.errors import NotOwner
from service.sessions.codec import encode_record
from service.sessions.redis_store import RedisSessionStore
from service.sessions.scripts import keys
from tests.records import assert_same_record, make_record
from tests.service.sessions.conftest import MakeStore
from tests.service.sessions.scenes import CONFIG, SID, log_chunks, own

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
async def test_log_gives_back_the_exact_record(
    store: RedisSessionStore, dtype: torch.dtype
) -> None:
    await store.create(SID, CONFIG, 1.0)
    record = make_record(0, dtype=dtype, hidden_size=64)

    assert await store.append_chunk(await own(store), record) is True

    [logged] = await store.chunks(SID)
    assert_same_record(logged, record)
    found = await store.chunk(SID, 0)
    assert found is not None
    assert_same_record(found, record)


async def test_log_counts_what_was_appended(store: RedisSessionStore) -> None:
    await log_chunks(store, 3)

    session = await store.get(SID)

    assert (session.last_index, session.num_chunks) == (2, 3)
    assert session.counts_in == TokenCounts(18, 12)
    assert session.counts_kept == TokenCounts(9, 6)


async def test_chunk_is_logged_once_and_not_before_an_earlier_one(
    store: RedisSessionStore,
) -> None:
    lease = await log_chunks(store, 3)

    for late in (2, 1, 0):
        assert await store.append_chunk(lease, make_record(late)) is False

    assert (await store.get(SID)).num_chunks == 3
    assert [record.index for record in await store.chunks(SID)] == [0, 1, 2]


async def test_log_may_skip_chunks_but_not_hide_it(store: RedisSessionStore) -> None:
    lease = await log_chunks(store, 2)

    with pytest.raises(ValueError, match="chunk 7 follows 6, the log ends at 1"):
        await store.append_chunk(lease, make_record(7))
    assert await store.append_chunk(lease, make_record(7, follows=1)) is True

    assert [(r.index, r.follows) for r in await store.chunks(SID)] == [(0, -1), (1, 0), (7, 1)]


async def test_stale_owner_is_fenced(store: RedisSessionStore) -> None:
    stale = await log_chunks(store, 1)
    held = await own(store, "b", steal_from="a")

    with pytest.raises(NotOwner) as raised:
        await store.append_chunk(stale, make_record(1))

    assert raised.value.owner == "b"
    assert await store.append_chunk(held, make_record(1)) is True
    with pytest.raises(NotOwner):  # the same name under an older epoch is no better
        await store.append_chunk(replace(held, epoch=1), make_record(2))


async def test_owner_that_released_is_fenced(store: RedisSessionStore) -> None:
    lease = await log_chunks(store, 1)
    await store.release(lease)

    with pytest.raises(NotOwner, match="none"):
        await store.append_chunk(lease, make_record(1))


async def test_log_is_bounded_by_entries(store: RedisSessionStore, admin: redis.Redis) -> None:
    await log_chunks(store, 11)

    assert [record.index for record in await store.chunks(SID)] == list(range(3, 11))
    assert (await store.get(SID)).num_chunks == 11
    assert admin.llen(keys(SID)[2]) == 8


async def test_log_is_bounded_by_bytes(make_store: MakeStore, admin: redis.Redis) -> None:
    size = len(encode_record(make_record(0)))
    store = make_store(max_log_bytes=3 * size + 50)
    lease = await log_chunks(store, 5)
    meta, log, sizes, *_ = keys(SID)

    assert [record.index for record in await store.chunks(SID)] == [2, 3, 4]
    big = make_record(5, hidden_size=8192)
    assert await store.append_chunk(lease, big) is True
    assert [record.index for record in await store.chunks(SID)] == [5]
    assert admin.hget(meta, "log_bytes") == str(len(encode_record(big))).encode()
    assert (admin.xlen(log), admin.llen(sizes)) == (1, 1)


async def test_log_is_read_from_a_point_on_and_by_parts(make_store: MakeStore) -> None:
    store = make_store()
    await log_chunks(store, 150)  # more than two pages

    indices = [record.index for record in await store.chunks(SID)]
    assert indices == list(range(150))
    assert [r.index for r in await store.chunks(SID, after=147)] == [148, 149]
    assert [r.index for r in await store.chunks(SID, after=10, limit=2)] == [11, 12]
    assert len(await store.chunks(SID, limit=128)) == 128
    assert await store.chunks(SID, after=149) == []
    assert await store.chunk(SID, 150) is None
