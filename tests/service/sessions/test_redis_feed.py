import asyncio
from dataclasses import replace

import pytest
import redis

from service.errors import AtCapacity, BadRequest, StoreUnavailable
from service.events import Event
from service.sessions.redis_server import start_redis_server
from service.sessions.redis_store import RedisSessionStore
from tests.service.sessions.conftest import MakeStore
from tests.service.sessions.scenes import CONFIG, SID, TURN

pytestmark = pytest.mark.redis


async def test_turns_are_kept_in_order_once_and_bounded(make_store: MakeStore) -> None:
    store = make_store(max_turns=3)
    await store.create(SID, CONFIG, 1.0)
    turns = [replace(TURN, id=f"q{number}", ttft_s=None) for number in range(5)]

    for turn in turns:
        await store.add_turn(SID, turn)
        await store.add_turn(SID, turn)

    assert await store.turns(SID) == turns[2:]


async def test_events_are_read_from_a_cursor(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    published = [Event("chunk", SID, float(n), {"index": n, "kept": [1, 2]}) for n in range(4)]
    for event in published:
        await store.publish(event)

    everything = await store.events(SID, after=None, block_s=0.0)
    rest = await store.events(SID, after=everything[1][0], block_s=0.0)
    page = await store.events(SID, after=None, block_s=0.0, limit=1)

    assert [event for _, event in everything] == published
    assert [event for _, event in rest] == published[2:]
    assert page == everything[:1]


async def test_event_wakes_a_waiting_reader(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(store.events(SID, after=None, block_s=20.0))
        await asyncio.sleep(0.05)
        await store.publish(Event("session.live", SID, 2.0))

    assert [event.type for _, event in reader.result()] == ["session.live"]


async def test_reader_gives_up_after_its_time(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    async with asyncio.timeout(2.0):
        assert await store.events(SID, after=None, block_s=0.05) == []
        assert await store.events(SID, after=None, block_s=0.0) == []


async def test_feed_is_bounded(make_store: MakeStore) -> None:
    store = make_store(max_events=3)
    await store.create(SID, CONFIG, 1.0)
    for number in range(5):
        await store.publish(Event("chunk", SID, float(number)))

    assert [e.at_s for _, e in await store.events(SID, after=None, block_s=0.0)] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("cursor", ["", "x", "1-2-3", "-1", "$", "+", "1-", "٣-0"])
async def test_cursor_that_is_none_is_refused(store: RedisSessionStore, cursor: str) -> None:
    await store.create(SID, CONFIG, 1.0)

    with pytest.raises(BadRequest, match="cursor"):
        await store.events(SID, after=cursor, block_s=0.0)


async def test_watchers_do_not_starve_writers(make_store: MakeStore, admin: redis.Redis) -> None:
    store = make_store(max_watchers=80)
    await store.create(SID, CONFIG, 1.0)

    async with asyncio.TaskGroup() as group:
        readers = [
            group.create_task(store.events(SID, after=None, block_s=20.0)) for _ in range(80)
        ]
        while admin.info("clients")["blocked_clients"] < 80:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.02)
        with pytest.raises(AtCapacity):
            await store.events(SID, after=None, block_s=1.0)
        async with asyncio.timeout(5.0):
            await store.set_lag(SID, 1.0)
            await store.publish(Event("session.ended", SID, 2.0))

    assert all(len(reader.result()) == 1 for reader in readers)


async def test_cancelled_reader_leaves_nothing_behind(
    store: RedisSessionStore, admin: redis.Redis
) -> None:
    await store.create(SID, CONFIG, 1.0)
    for _ in range(3):
        reader = asyncio.ensure_future(store.events(SID, after=None, block_s=20.0))
        await asyncio.sleep(0.05)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    assert await store.events(SID, after=None, block_s=0.05) == []
    assert admin.info("clients")["blocked_clients"] == 0


async def test_waiting_reader_is_told_when_the_server_dies() -> None:
    with start_redis_server() as url:
        store = RedisSessionStore.connect(url)
        await store.create(SID, CONFIG, 1.0)
        reader = asyncio.ensure_future(store.events(SID, after=None, block_s=20.0))
        await asyncio.sleep(0.05)
    async with asyncio.timeout(5.0):
        with pytest.raises(StoreUnavailable):
            await reader
        with pytest.raises(StoreUnavailable):
            await store.events(SID, after=None, block_s=20.0)
    await store.aclose()
