import asyncio
from dataclasses import replace

import pytest
import redis

from service.errors import NotOwner
from service.sessions.record import Stage
from service.sessions.redis_store import RedisSessionStore
from service.sessions.scripts import keys
from service.sessions.store import Lease
from tests.service.sessions.scenes import CONFIG, SID, own

pytestmark = pytest.mark.redis


def expire_lease(admin: redis.Redis, stage: Stage = Stage.COMPRESSOR) -> None:
    admin.hset(keys(SID)[0], f"{stage}.expires_ms", 1)


async def test_lease_is_renewed_by_its_owner_under_one_epoch(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    first, again = await own(store), await own(store)

    assert first == Lease(SID, Stage.COMPRESSOR, "a", 1, is_new=True)
    assert again == replace(first, is_new=False)
    assert (await store.get(SID)).owners == {Stage.COMPRESSOR: "a"}


async def test_held_lease_is_refused_to_others(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    await own(store, "a")

    for options in ({}, {"steal_from": "c"}):
        with pytest.raises(NotOwner) as raised:
            await own(store, "b", **options)
        assert raised.value.owner == "a"


async def test_stages_are_owned_apart(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    await store.claim(SID, Stage.COMPRESSOR, "a", ttl_s=60.0)
    await store.claim(SID, Stage.LLM, "b", ttl_s=60.0)

    assert (await store.get(SID)).owners == {Stage.COMPRESSOR: "a", Stage.LLM: "b"}


async def test_lease_of_an_unreachable_owner_is_stolen(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    await own(store, "a")

    stolen = await own(store, "b", steal_from="a")

    assert stolen == Lease(SID, Stage.COMPRESSOR, "b", 2, is_new=True)


async def test_expired_lease_is_free_for_all(store: RedisSessionStore, admin: redis.Redis) -> None:
    await store.create(SID, CONFIG, 1.0)
    await own(store, "a")
    expire_lease(admin)

    assert (await store.get(SID)).owners == {}
    assert (await own(store, "b")).epoch == 2


async def test_expired_lease_that_nobody_took_goes_on(
    store: RedisSessionStore, admin: redis.Redis
) -> None:
    await store.create(SID, CONFIG, 1.0)
    first = await own(store, "a")
    expire_lease(admin)

    assert await own(store, "a") == replace(first, is_new=False)


async def test_lease_expires_by_the_clock(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    await store.claim(SID, Stage.COMPRESSOR, "a", ttl_s=0.05)
    await asyncio.sleep(0.06)

    assert (await own(store, "b")).is_new


async def test_released_lease_is_new_to_whoever_takes_it(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    lease = await own(store, "a")

    await store.release(lease)

    assert await own(store, "a") == replace(lease, epoch=2)


async def test_release_of_a_lost_lease_is_ignored(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    lost = await own(store, "a")
    held = await own(store, "b", steal_from="a")

    await store.release(lost)

    assert await own(store, "b") == replace(held, is_new=False)


async def test_late_release_of_an_older_lease_is_ignored(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    older = await own(store, "a")
    await own(store, "b", steal_from="a")
    held = await own(store, "a", steal_from="b")

    await store.release(older)

    assert await own(store, "a") == replace(held, is_new=False)
