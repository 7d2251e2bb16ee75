"""What a Redis server says about itself, as far as it matters to the log of a session."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from service.errors import StoreUnavailable

LIMIT_S = 3.0


@dataclass(frozen=True, slots=True)
class RedisReport:
    """How a server is configured.

    Attributes:
        version: Its numbers, first the major one.
        is_append_only: It logs writes to disk; None: it does not tell its configuration.
        append_fsync: "always", "everysec" or "no"; None likewise.
        eviction: `maxmemory-policy`; None likewise.
        max_bytes: `maxmemory`; 0: none.
        used_bytes: Memory in use.
        can_write: Its last write to the append-only file succeeded.
    """

    version: tuple[int, ...]
    is_append_only: bool | None
    append_fsync: str | None
    eviction: str | None
    max_bytes: int
    used_bytes: int
    can_write: bool


async def inspect_redis(url: str) -> RedisReport:
    """Ask the server at a Redis URL.

    Raises:
        ValueError: It is not a Redis URL.
        StoreUnavailable: It does not answer, or refuses the password.
    """
    client = Redis.from_url(
        url, socket_connect_timeout=LIMIT_S, socket_timeout=LIMIT_S, decode_responses=True
    )
    try:
        about = await client.info()
        configured = await _configured(client)
    except (RedisError, OSError) as exc:
        raise StoreUnavailable(f"{type(exc).__name__}: {exc}") from exc
    finally:
        await client.aclose()
    return read_report(about, configured)


def read_report(about: dict[str, Any], configured: dict[str, str]) -> RedisReport:
    """Make sense of INFO and CONFIG GET; managed servers refuse the second, which is then empty."""
    append_only = configured.get("appendonly")
    return RedisReport(
        version=tuple(int(part) for part in str(about["redis_version"]).split(".")),
        is_append_only=None if append_only is None else append_only == "yes",
        append_fsync=configured.get("appendfsync"),
        eviction=about.get("maxmemory_policy") or configured.get("maxmemory-policy"),
        max_bytes=int(about.get("maxmemory", 0)),
        used_bytes=int(about.get("used_memory", 0)),
        can_write=about.get("aof_last_write_status", "ok") == "ok",
    )


async def _configured(client: "Redis") -> dict[str, str]:
    try:
        found = await client.config_get("append*")
    except ResponseError:
        return {}
    return {str(name): str(value) for name, value in found.items()}


__all__ = ["RedisReport", "inspect_redis", "read_report"]
