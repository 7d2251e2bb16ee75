import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from service.errors import StoreUnavailable
from service.sessions import redis_server
from service.sessions.redis_server import (
    RedisServer,
    bundled_redis_server,
    find_redis_server,
    start_redis_server,
)

pytestmark = pytest.mark.redis

BINARIES = [bundled_redis_server(), find_redis_server()]
PARENT = """
import time
from service.sessions.redis_server import start_redis_server
with start_redis_server() as url:
    print(url, flush=True)
    time.sleep(60)
"""


def is_up(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, retry=None) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("binary", BINARIES, ids=["bundled", "system"])
def test_server_runs_as_long_as_the_context(binary: Path | None) -> None:
    assert binary is not None

    with start_redis_server(binary) as url:
        with redis.Redis.from_url(url) as client:
            run_dir = Path(client.config_get("dir")["dir"])
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert run_dir.is_dir()

    assert not is_up(url)
    assert not run_dir.exists()


def test_bundled_binary_is_the_default() -> None:
    with start_redis_server() as url, redis.Redis.from_url(url) as client:
        assert client.info("server")["redis_version"].startswith("6.2")


def test_strangers_are_kept_out(redis_server: str) -> None:
    stranger = "redis://" + redis_server.split("@")[1]

    with (
        redis.Redis.from_url(stranger) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.get("key")


def test_password_is_not_on_the_command_line() -> None:
    with start_redis_server() as url, redis.Redis.from_url(url) as client:
        pid = client.info("server")["process_id"]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()

    assert url.split(":")[2].split("@")[0].encode() not in command


def test_two_servers_run_side_by_side() -> None:
    with start_redis_server() as first, start_redis_server() as second:
        assert is_up(first)
        assert is_up(second)


def test_data_dir_outlives_the_server(tmp_path: Path) -> None:
    data_dir = tmp_path / 'odd "name"'
    data_dir.mkdir()
    with (
        start_redis_server(data_dir=data_dir) as url,
        redis.Redis.from_url(url) as client,
    ):
        client.set("key", "value")

    with (
        start_redis_server(data_dir=data_dir) as url,
        redis.Redis.from_url(url) as client,
    ):
        assert client.get("key") == b"value"


def test_acknowledged_writes_outlive_a_killed_server(tmp_path: Path) -> None:
    binary = bundled_redis_server()
    assert binary is not None
    server = RedisServer(binary, tmp_path, is_durable=True)
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            for number in range(100):
                client.rpush("list", number)
            server.kill()
            assert not server.is_alive
            server.start()
            assert client.llen("list") == 100
    finally:
        server.stop()


def test_supervised_server_that_dies_is_started_again_with_its_data() -> None:
    with start_redis_server(is_supervised=True) as url, redis.Redis.from_url(url) as client:
        client.set("key", "value")
        pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGKILL)

        assert eventually(lambda: is_up(url) and client.info("server")["process_id"] != pid)
        assert client.get("key") == b"value"
    assert not is_up(url)


def test_server_dies_with_a_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert is_up(url)
        parent.kill()

    assert eventually(lambda: not is_up(url))


def test_server_that_died_is_no_trouble_at_the_end() -> None:
    with start_redis_server() as url, redis.Redis.from_url(url) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
        assert eventually(lambda: not is_up(url))


def test_hung_server_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "STOP_TIMEOUT_S", 0.1)

    with start_redis_server() as url, redis.Redis.from_url(url) as client:
        pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)

    assert not Path(f"/proc/{pid}").exists()


def test_taken_port_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_redis_server() as first:
        taken = int(first.rsplit(":", 1)[1].split("/")[0])
        ports = iter([taken, redis_server._free_port()])
        monkeypatch.setattr(redis_server, "_free_port", lambda: next(ports))

        with start_redis_server() as second:
            assert is_up(second)
            assert is_up(first)


def test_what_a_failing_server_wrote_is_told() -> None:
    with (
        pytest.raises(StoreUnavailable, match=r"(?s)status 1.*FATAL CONFIG FILE ERROR"),
        start_redis_server(max_memory_mb=-1),
    ):
        pass


def test_binary_that_is_no_server_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreUnavailable, match="cannot run"),
        start_redis_server(tmp_path / "absent"),
    ):
        pass


def test_silent_server_is_told(tmp_path: Path) -> None:
    binary = tmp_path / "sleeper"
    binary.write_text("#!/bin/sh\nexec sleep 60\n")
    binary.chmod(0o755)

    with (
        pytest.raises(StoreUnavailable, match=r"silent for 0\.1 s"),
        start_redis_server(binary, start_timeout_s=0.1),
    ):
        pass


def test_machine_without_redis_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "bundled_redis_server", lambda: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(StoreUnavailable, match="install one"), start_redis_server():
        pass
