import asyncio
from collections.abc import AsyncIterator

import pytest

from chaos.injection import Injector, Target
from chaos.schedule import Fault, Harm, Part
from chaos.weather import CLEAR, SILENT, Network
from service.sessions.redis_server import RedisServer
from service.sessions.redis_store import RedisSessionStore

DURATION_S = 0.5


@pytest.fixture
async def store(own_server: RedisServer) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(own_server.url)
    yield store
    await store.aclose()


async def test_partition_from_redis_leaves_calls_without_an_answer_until_it_is_over(
    own_server: RedisServer, store: RedisSessionStore
) -> None:
    injector = Injector(own_server, store, Network(0), seed=0)
    pid = own_server.pid
    await store.list()

    async with asyncio.TaskGroup() as group:
        group.create_task(injector.hit(target(Part.REDIS)))
        await asyncio.sleep(0)
        began_s = asyncio.get_running_loop().time()
        assert await store.list() == []
        waited_s = asyncio.get_running_loop().time() - began_s

    assert waited_s > DURATION_S / 2
    assert (own_server.is_alive, own_server.pid) == (True, pid)


async def test_partition_of_the_network_ends_with_clear_weather(
    own_server: RedisServer, store: RedisSessionStore
) -> None:
    network = Network(0)
    injector = Injector(own_server, store, network, seed=0)
    assert (await injector.aim(target(Part.NETWORK).fault, ["a", "b"])).session_ids == ["a", "b"]

    async with asyncio.TaskGroup() as group:
        group.create_task(injector.hit(target(Part.NETWORK)))
        await asyncio.sleep(0)
        assert network.weather is SILENT

    assert network.weather is CLEAR


def target(part: Part) -> Target:
    return Target(Fault(Harm.PARTITION, part, DURATION_S), None, 0, ())
