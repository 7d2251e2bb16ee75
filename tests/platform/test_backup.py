"""What docs/operations.md says of backups of Redis, with a server as production runs it."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event

import pytest
import redis

from service.sessions.redis_server import RedisServer, find_redis_server

pytestmark = pytest.mark.redis


@contextmanager
def server(folder: Path) -> Iterator[redis.Redis]:
    """An append-only server on a folder, and a client of it."""
    binary = find_redis_server()
    assert binary is not None, "redis-server is not installed: make system"
    running = RedisServer(binary, folder, is_durable=True)
    running.start()
    try:
        with redis.Redis.from_url(running.url) as client:
            yield client
    finally:
        running.stop()


def test_a_copy_of_the_volume_taken_while_redis_writes_holds_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    volume, snapshot = tmp_path / "volume", tmp_path / "snapshot"
    volume.mkdir()
    is_enough = Event()
    with server(volume) as client, ThreadPoolExecutor(1) as pool:

        def write() -> None:
            for number in count():
                client.rpush("log", bytes(100_000) + b"%d" % number)
                if is_enough.is_set():
                    return

        writing = pool.submit(write)
        while client.llen("log") < 20:
            pass
        acknowledged = client.llen("log")
        shutil.copytree(volume, snapshot)
        is_enough.set()
        writing.result()
    with server(snapshot) as client:
        assert client.llen("log") >= acknowledged


def test_a_dump_is_no_backup_of_an_append_only_server(tmp_path: Path) -> None:
    volume, restored = tmp_path / "volume", tmp_path / "restored"
    volume.mkdir()
    restored.mkdir()
    with server(volume) as client:
        client.set("session", "s")
        client.save()
    shutil.copy(volume / "dump.rdb", restored / "dump.rdb")
    with server(restored) as client:
        assert client.dbsize() == 0
