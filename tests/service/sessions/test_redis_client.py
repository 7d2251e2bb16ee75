import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from service.errors import StoreUnavailable
from service.sessions.redis_client import RedisClient, RedisClientConfig
from service.sessions.redis_server import find_redis_server, start_redis_server

pytestmark = pytest.mark.redis

HASTY = RedisClientConfig(
    reply_timeout_s=0.1, deadline_s=1.0, max_retries=2, backoff_cap_s=0.05, pause_s=0.0
)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    client = RedisClient(redis_url, RedisClientConfig())
    yield client
    await client.aclose()


@pytest.fixture
def own_server() -> Iterator[tuple[str, int]]:
    """URL and process id of a server that the test may hurt."""
    with start_redis_server() as url:
        with redis.Redis.from_url(url) as admin:
            pid = admin.info("server")["process_id"]
        yield url, pid


async def test_commands_go_in_one_round_trip(client: RedisClient) -> None:
    replies = await client.pipeline(("SET", "key", "value"), ("GET", "key"), ("GET", "none"))

    assert replies == [True, b"value", None]


async def test_script_runs_on_a_server_that_forgot_it(client: RedisClient, redis_url: str) -> None:
    script = "return {'ok', KEYS[1], ARGV[1]}"
    assert await client.run(script, ["k"], "v") == ("ok", [b"k", b"v"])
    with redis.Redis.from_url(redis_url) as admin:
        admin.script_flush()

    assert await client.run(script, ["k"], "v") == ("ok", [b"k", b"v"])


async def test_closed_connections_are_opened_again(client: RedisClient, redis_url: str) -> None:
    await client.call("PING")
    with redis.Redis.from_url(redis_url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)

    assert await client.call("PING") is True


async def test_error_reply_is_translated_with_its_cause(client: RedisClient) -> None:
    await client.call("SET", "key", "text")

    with pytest.raises(StoreUnavailable, match="wrong kind of value") as raised:
        await client.call("LPUSH", "key", "x")
    assert isinstance(raised.value.__cause__, redis.RedisError)


async def test_wrong_password_is_told(redis_url: str) -> None:
    client = RedisClient("redis://:wrong@" + redis_url.split("@")[1], HASTY)

    with pytest.raises(StoreUnavailable, match=r"invalid username-password|WRONGPASS"):
        await client.call("PING")
    await client.aclose()


async def test_absent_server_is_told_at_once() -> None:
    client = RedisClient("redis://127.0.0.1:1/0", RedisClientConfig())
    began_s = time.monotonic()

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await client.call("PING")

    assert time.monotonic() - began_s < 3.0
    await client.aclose()


def test_url_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        RedisClient("http://127.0.0.1", RedisClientConfig())


async def test_hung_server_is_noticed_in_time_and_used_again(own_server: tuple[str, int]) -> None:
    url, pid = own_server
    client = RedisClient(url, HASTY)
    await client.call("SET", "key", "value")
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(3.0):
            with pytest.raises(StoreUnavailable):
                await client.call("GET", "key")
    finally:
        os.kill(pid, signal.SIGCONT)

    assert await client.call("GET", "key") == b"value"
    await client.aclose()


async def test_calls_fail_at_once_after_one_in_vain_and_one_at_a_time_tries_again(
    own_server: tuple[str, int],
) -> None:
    url, pid = own_server
    client = RedisClient(url, replace(HASTY, pause_s=0.3))
    await client.call("PING")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="in time"):
            await client.call("PING")
        with pytest.raises(StoreUnavailable, match="a moment ago"):
            await client.call("PING")
        await asyncio.sleep(0.3)
        failures = await asyncio.gather(
            *(client.call("PING") for _ in range(3)), return_exceptions=True
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert sorted("a moment ago" in str(failure) for failure in failures) == [False, True, True]

    await asyncio.sleep(0.3)
    assert await client.call("PING")
    assert await client.call("PING")
    await client.aclose()


async def test_restarted_server_is_used_again(own_server: tuple[str, int], tmp_path: Path) -> None:
    url, pid = own_server
    client = RedisClient(url, RedisClientConfig())
    await client.call("PING")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(StoreUnavailable):
        await client.call("PING")

    parts = urlsplit(url)
    binary = find_redis_server()
    assert binary is not None
    options = ["--port", str(parts.port), "--requirepass", str(parts.password), "--save", ""]
    restarted = await asyncio.create_subprocess_exec(
        binary, *options, cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(5.0):
            assert await eventually_ping(client)
    finally:
        restarted.kill()
        await restarted.wait()
        await client.aclose()


async def eventually_ping(client: RedisClient) -> bool:
    while True:
        try:
            return bool(await client.call("PING"))
        except StoreUnavailable:
            await asyncio.sleep(0.05)


async def test_calls_beyond_the_pool_wait_their_turn(redis_url: str) -> None:
    client = RedisClient(redis_url, RedisClientConfig(max_connections=2))

    replies = await asyncio.gather(*(client.call("ECHO", str(n)) for n in range(50)))

    assert replies == [str(n).encode() for n in range(50)]
    await client.aclose()


async def test_busy_pool_is_told_when_the_deadline_passes(redis_url: str) -> None:
    client = RedisClient(redis_url, RedisClientConfig(max_connections=1, deadline_s=0.2))

    answers = await asyncio.gather(
        *(client.call("BLPOP", "never", 1) for _ in range(2)), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    assert "no answer in time" in str(answers[0])
    await client.aclose()
