"""What is fetched for sessions, in Redis: `SourceStore` over the Lua scripts. Decides nothing."""

from collections.abc import Sequence

from service.errors import NotOwner, SessionEnded, SessionNotFound
from service.sessions import fields, scripts
from service.sessions.record import KeptSource, SessionId
from service.sessions.redis_client import RedisClient
from service.sessions.store import Lease, SourceStore


class RedisSources(SourceStore):
    """A part of `RedisSessionStore`, by whose client it talks.

    Args:
        client: Open and closed by the store.
        ttl_s: Life of a session that nobody writes to.
    """

    def __init__(self, client: RedisClient, *, ttl_s: float) -> None:
        self._client = client
        self._ttl_ms = round(ttl_s * 1000)

    async def keep(self, lease: Lease, source: KeptSource | None) -> None:
        if source is not None:
            # first, so that a death in between leaves nothing that nobody looks after
            await self.beat(lease.session_id)
        data = b"" if source is None else fields.encode_source(source)
        word, rest = await self._client.run(
            scripts.KEEP_SOURCE,
            scripts.keys(lease.session_id),
            self._ttl_ms,
            lease.owner,
            lease.epoch,
            data,
        )
        if word == "missing":
            raise SessionNotFound(lease.session_id)
        if word == "ended":
            raise SessionEnded(lease.session_id, reason=rest[0].decode() or None)
        if word == "owned":
            raise NotOwner(stage=lease.stage, owner=rest[0].decode() or "none")
        if source is None:
            await self.drop(lease.session_id)

    async def find(self, session_id: SessionId) -> KeptSource | None:
        data = await self._client.call("HGET", scripts.keys(session_id)[0], "source")
        return fields.decode_source(data) if data else None

    async def beat(self, session_id: SessionId) -> None:
        await self._client.run(scripts.BEAT_SOURCE, [scripts.SOURCES_KEY], session_id)

    async def let_go(self, session_id: SessionId) -> None:
        await self._client.call("ZADD", scripts.SOURCES_KEY, "XX", 0, session_id)

    async def silent(self, silent_s: float, *, limit: int) -> Sequence[SessionId]:
        silent_ms = round(silent_s * 1000)
        _, found = await self._client.run(
            scripts.SILENT_SOURCES, [scripts.SOURCES_KEY], silent_ms, limit
        )
        return [SessionId(raw.decode()) for raw in found]

    async def drop(self, session_id: SessionId) -> None:
        await self._client.call("ZREM", scripts.SOURCES_KEY, session_id)


__all__ = ["RedisSources"]
