"""Fixtures that many tests share: real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from service.sessions.redis_server import (
    RedisServer,
    bundled_redis_server,
    start_redis_server,
)

# a busy machine is slow, which no example is to blame for
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """URL of a redis-server (the bundled binary) that runs for the whole session."""
    with start_redis_server() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server of the test's own, to be killed: it keeps what it acknowledged."""
    binary = bundled_redis_server()
    assert binary is not None
    server = RedisServer(binary, tmp_path, is_durable=True)
    server.start()
    yield server
    server.stop()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers (`-n`), keep a file together, and all that start a cluster.

    Those come first: they wait more than they compute, and no other worker can take some of them.
    """
    for item in items:
        group = "cluster" if _starts_cluster(item) else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_starts_cluster, reverse=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where xdist has not read the groups: every worker would start clusters."""
    is_grouped = session.config.getoption("loadgroup", default=False)
    for item in session.items if is_grouped else ():
        if _starts_cluster(item) and not item.nodeid.endswith("@cluster"):
            raise pytest.UsageError("pytest-xdist does not group tests with this pytest")


def _starts_cluster(item: pytest.Item) -> bool:
    return item.get_closest_marker("ray") is not None
