from dataclasses import replace

import pytest

from service.doctor.redis import check_redis, judge
from service.sessions.redis_report import RedisReport

GOOD = RedisReport((7, 2, 4), True, "always", "noeviction", 1 << 30, 1 << 20, True)


def levels(report: RedisReport) -> dict[str, str]:
    return {finding.check: finding.level for finding in judge(report)}


def test_server_as_it_should_be() -> None:
    assert levels(GOOD) == {"Redis": "ok", "persistence": "ok", "eviction": "ok"}


@pytest.mark.parametrize(
    ("report", "check", "level"),
    [
        (replace(GOOD, version=(6, 0, 16)), "Redis", "fail"),
        (replace(GOOD, is_append_only=False), "persistence", "warn"),
        (replace(GOOD, is_append_only=None), "persistence", "warn"),
        (replace(GOOD, append_fsync="everysec"), "persistence", "warn"),
        (replace(GOOD, can_write=False), "persistence", "fail"),
        (replace(GOOD, eviction="allkeys-lru"), "eviction", "fail"),
        (replace(GOOD, max_bytes=0), "eviction", "warn"),
        (replace(GOOD, used_bytes=1 << 30), "eviction", "warn"),
    ],
)
def test_what_would_lose_chunks_is_told(report: RedisReport, check: str, level: str) -> None:
    assert levels(report)[check] == level
    assert next(f for f in judge(report) if f.check == check).advice


@pytest.mark.redis
async def test_real_server_is_asked(redis_url: str) -> None:
    found = await check_redis(redis_url, is_kept=False)

    assert found[0].level == "ok"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9/0", "http://h"])
async def test_server_that_cannot_be_reached_is_a_failure(url: str) -> None:
    (found,) = await check_redis(url, is_kept=False)

    assert found.level == "fail"
    assert "OMNISIFT_REDIS_URL" in found.advice


async def test_own_server_keeps_nothing_unless_told_where() -> None:
    (for_one_run,) = await check_redis(None, is_kept=False)
    (kept,) = await check_redis(None, is_kept=True)

    assert (for_one_run.level, kept.level) == ("warn", "ok")
