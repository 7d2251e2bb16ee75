"""Checks of Redis: can it be reached, and does it keep what it acknowledged. Changes nothing."""

from collections.abc import Iterator

from service.doctor.finding import Finding
from service.errors import StoreUnavailable
from service.sessions.redis_report import RedisReport, inspect_redis
from service.sessions.redis_server import bundled_redis_server, find_redis_server

OLDEST = (6, 2)
RELIABILITY = "docs/reliability.md, 'When Redis is away'"


async def check_redis(url: str | None, *, is_kept: bool) -> list[Finding]:
    """Check the server at `url`, or, where there is none, the one that the service would start.

    Args:
        url: `OMNISIFT_REDIS_URL`.
        is_kept: `OMNISIFT_REDIS_DIR` is set.
    """
    if url is None:
        return [_own_server(is_kept=is_kept)]
    try:
        report = await inspect_redis(url)
    except (StoreUnavailable, ValueError) as exc:
        advice = "is it running, and are host, port and password in OMNISIFT_REDIS_URL right ?"
        return [Finding("fail", "Redis", str(exc), advice)]
    return list(judge(report))


def judge(report: RedisReport) -> Iterator[Finding]:
    """What its version and configuration mean for the service."""
    version = ".".join(map(str, report.version))
    if report.version < OLDEST:
        yield Finding("fail", "Redis", f"version {version}", "install 6.2 or newer")
    else:
        yield Finding("ok", "Redis", f"version {version} answers")
    yield _durability(report)
    yield _eviction(report)


def _durability(report: RedisReport) -> Finding:
    if report.is_append_only is None:
        return Finding("warn", "persistence", "its configuration cannot be read here", RELIABILITY)
    if not report.is_append_only:
        advice = f"set appendonly yes ({RELIABILITY})"
        return Finding("warn", "persistence", "off: a restart loses all sessions", advice)
    if not report.can_write:
        advice = "is its volume full or gone ? Do not restart it before"
        return Finding(
            "fail", "persistence", "the last write to its append-only file failed", advice
        )
    if report.append_fsync != "always":
        message = f"appendfsync is {report.append_fsync}: up to two seconds may be lost"
        return Finding("warn", "persistence", message, f"appendfsync always ({RELIABILITY})")
    return Finding("ok", "persistence", "on disk before it is acknowledged")


def _eviction(report: RedisReport) -> Finding:
    used_mb = report.used_bytes / 1e6
    if report.eviction not in (None, "noeviction"):
        message = f"maxmemory-policy is {report.eviction}: chunks disappear when it is full"
        return Finding("fail", "eviction", message, "set maxmemory-policy noeviction")
    if not report.max_bytes:
        advice = "set maxmemory, so that it refuses writes before the machine is full"
        return Finding("warn", "eviction", f"{used_mb:.0f} MB used, no maxmemory", advice)
    if report.used_bytes > 0.9 * report.max_bytes:
        advice = "give it more, or keep less (OMNISIFT_STORE__MAX_LOG_BYTES, OMNISIFT_STORE__TTL_S)"
        message = f"{used_mb:.0f} of {report.max_bytes / 1e6:.0f} MB used"
        return Finding("warn", "eviction", message, advice)
    return Finding("ok", "eviction", f"{used_mb:.0f} of {report.max_bytes / 1e6:.0f} MB used")


def _own_server(*, is_kept: bool) -> Finding:
    binary = find_redis_server() or bundled_redis_server()
    if binary is None:
        advice = "apt-get install redis-server, or set OMNISIFT_REDIS_URL"
        return Finding("fail", "Redis", "there is no redis-server to start", advice)
    if not is_kept:
        advice = "set OMNISIFT_REDIS_DIR to keep sessions, or OMNISIFT_REDIS_URL"
        return Finding("warn", "Redis", f"will start {binary}, for one run only", advice)
    return Finding("ok", "Redis", f"will start {binary}")


__all__ = ["check_redis", "judge"]
