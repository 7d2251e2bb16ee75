import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chaos.injection import Injector, Target
from chaos.schedule import Fault, Harm, Part
from chaos.weather import CLEAR, SILENT, Network
from service.sessions.redis_server import RedisServer, bundled_redis_server
from service.sessions.redis_store import RedisSessionStore

DURATION_S = 0.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    binary = bundled_redis_server()
    assert binary is not None
    server = RedisServer(binary, tmp_path, is_durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(server.url)
    yield store
    await store.aclose()


async def test_partition_from_redis_leaves_calls_without_an_answer_until_it_is_over(
    server: RedisServer, store: RedisSessionStore
) -> None:
    injector = Injector(server, store, Network(0), seed=0)
    pid = server.pid
    await store.list()

    async with asyncio.TaskGroup() as group:
        group.create_task(injector.hit(target(Part.REDIS)))
        await asyncio.sleep(0)
        began_s = asyncio.get_running_loop().time()
        assert await store.list() == []
        waited_s = asyncio.get_running_loop().time() - began_s

    assert waited_s > DURATION_S / 2
    assert (server.is_alive, server.pid) == (True, pid)


async def test_partition_of_the_network_ends_with_clear_weather(
    server: RedisServer, store: RedisSessionStore
) -> None:
    network = Network(0)
    injector = Injector(server, store, network, seed=0)
    assert (await injector.aim(target(Part.NETWORK).fault, ["a", "b"])).session_ids == ["a", "b"]

    async with asyncio.TaskGroup() as group:
        group.create_task(injector.hit(target(Part.NETWORK)))
        await asyncio.sleep(0)
        assert network.weather is SILENT

    assert network.weather is CLEAR


def target(part: Part) -> Target:
    return Target(Fault(Harm.PARTITION, part, DURATION_S), None, 0, ())
