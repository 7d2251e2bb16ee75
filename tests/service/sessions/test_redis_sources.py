import asyncio
from dataclasses import replace

import pytest
import redis

from service.errors import NotOwner, SessionEnded, SessionNotFound
from service.sessions.record import KeptSource, SessionId, Stage
from service.sessions.redis_sources import RedisSources
from service.sessions.redis_store import RedisSessionStore
from service.sessions.scripts import keys
from service.sessions.store import Lease, SourceStore
from tests.service.sessions.scenes import CONFIG, SID

pytestmark = pytest.mark.redis

CAMERA = KeptSource("src_1", "rtsp://user:secret@camera/live", "realtime")


async def hold(
    store: RedisSessionStore, replica: str = "a", steal_from: str | None = None
) -> Lease:
    return await store.claim(SID, Stage.INGEST, replica, ttl_s=60.0, steal_from=steal_from)


@pytest.fixture
async def lease(store: RedisSessionStore) -> Lease:
    await store.create(SID, CONFIG, 1.0)
    return await hold(store)


def test_every_method_is_implemented() -> None:
    methods = [name for name in vars(SourceStore) if not name.startswith("_")]

    assert [name for name in methods if name not in vars(RedisSources)] == []


async def test_source_is_kept_until_it_is_taken_out(store: RedisSessionStore, lease: Lease) -> None:
    assert await store.sources.find(SID) is None

    await store.sources.keep(lease, CAMERA)
    placed = replace(CAMERA, skip_s=4.0, from_index=7)
    await store.sources.keep(lease, placed)
    assert await store.sources.find(SID) == placed
    await store.sources.keep(lease, None)

    assert await store.sources.find(SID) is None
    assert await store.sources.silent(-1.0, limit=9) == []


async def test_replica_that_lost_the_session_changes_nothing(
    store: RedisSessionStore, lease: Lease
) -> None:
    await store.sources.keep(lease, CAMERA)
    await hold(store, "b", steal_from="a")

    for late in (None, replace(CAMERA, from_index=1)):
        with pytest.raises(NotOwner) as raised:
            await store.sources.keep(lease, late)
        assert raised.value.owner == "b"

    assert await store.sources.find(SID) == CAMERA


async def test_password_goes_with_the_session(
    store: RedisSessionStore, lease: Lease, admin: redis.Redis
) -> None:
    await store.sources.keep(lease, CAMERA)
    assert 0 < admin.pttl(keys(SID)[0]) <= 86_400_000
    assert "secret" not in repr(await store.get(SID)) + repr(await store.sources.find(SID))

    await store.end(SID, "deleted", 2.0)

    assert await store.sources.find(SID) is None
    assert b"secret" not in b"".join(admin.hgetall(keys(SID)[0]).values())
    with pytest.raises(SessionEnded):
        await store.sources.keep(lease, CAMERA)


async def test_source_of_an_unknown_session_is_not_kept(store: RedisSessionStore) -> None:
    nowhere = Lease(SessionId("none"), Stage.INGEST, "a", 1, is_new=True)

    with pytest.raises(SessionNotFound):
        await store.sources.keep(nowhere, CAMERA)


async def test_who_says_nothing_is_found(store: RedisSessionStore, lease: Lease) -> None:
    await store.sources.keep(lease, CAMERA)
    assert await store.sources.silent(0.2, limit=9) == []

    await asyncio.sleep(0.25)
    assert await store.sources.silent(0.2, limit=9) == [SID]
    await store.sources.beat(SID)

    assert await store.sources.silent(0.2, limit=9) == []


async def test_who_lets_go_is_found_at_once_and_before_others(
    store: RedisSessionStore, lease: Lease
) -> None:
    other = SessionId("other")
    await store.sources.keep(lease, CAMERA)
    await store.sources.let_go(other)  # it has no source
    await store.sources.let_go(SID)
    assert await store.sources.silent(60.0, limit=9) == [SID]

    await store.sources.beat(other)
    assert await store.sources.silent(-1.0, limit=1) == [SID]
    await store.sources.drop(SID)

    assert await store.sources.silent(60.0, limit=9) == []
