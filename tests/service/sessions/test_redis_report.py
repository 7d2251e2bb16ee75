import pytest

from service.errors import StoreUnavailable
from service.sessions.redis_report import inspect_redis, read_report


def test_answers_of_the_server_are_read() -> None:
    about = {
        "redis_version": "7.2.4",
        "maxmemory_policy": "allkeys-lru",
        "maxmemory": 1024,
        "used_memory": 512,
        "aof_last_write_status": "err",
    }

    report = read_report(about, {"appendonly": "yes", "appendfsync": "everysec"})

    assert report.version == (7, 2, 4)
    assert (report.is_append_only, report.append_fsync) == (True, "everysec")
    assert (report.eviction, report.max_bytes, report.used_bytes) == ("allkeys-lru", 1024, 512)
    assert not report.can_write


def test_server_that_hides_its_configuration_leaves_it_unknown() -> None:
    report = read_report({"redis_version": "7.2.4"}, {})

    assert report.is_append_only is None
    assert report.append_fsync is None


@pytest.mark.redis
async def test_real_server_tells_its_version(redis_url: str) -> None:
    assert (await inspect_redis(redis_url)).version >= (6, 2)


async def test_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await inspect_redis("redis://127.0.0.1:9/0")
