"""Sessions in Redis: `SessionStore` over the Lua scripts. Knows the layout, decides nothing.

What is decided (transitions, leases, order, bounds) is decided by the scripts, atomically and by
the server's clock; here is only the traffic. All methods may be called from many tasks at once.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from service.errors import (
    AtCapacity,
    BadRequest,
    NotOwner,
    SessionEnded,
    SessionNotFound,
    StoreUnavailable,
)
from service.events import Event
from service.sessions import codec, fields, scripts, state
from service.sessions.record import (
    ChunkRecord,
    Rule,
    RuleState,
    Session,
    SessionConfig,
    SessionId,
    SessionStatus,
    Stage,
    Turn,
)
from service.sessions.redis_client import RedisClient, RedisClientConfig
from service.sessions.redis_sources import RedisSources
from service.sessions.store import Lease, SessionStore, Verdict

PAGE_CHUNKS: Final = 8  # log entries read in one reply: a long log holds nobody up


@dataclass(frozen=True, slots=True)
class RedisStoreConfig:
    """Bounds of what is kept.

    Attributes:
        ttl_s: Life of a session that nobody writes to.
        ttl_ended_s: How long an ended session can be read.
        max_log_chunks: Chunks in a session's log; the oldest leave first.
        max_log_bytes: Bytes in it, likewise; the newest chunk stays whatever its size.
        max_events: Events in a session's feed.
        max_turns: Turns remembered of a session.
        max_recalled: Records kept in this process for while Redis is away; the longest unread go.
        max_listed: Sessions in the index that `list` reads.
        max_watchers: Calls of `events` that wait at the same time in this process.
        max_block_s: Longest wait of one of them.
        client: How to talk to Redis.
    """

    ttl_s: float = 86_400.0
    ttl_ended_s: float = 3_600.0
    max_log_chunks: int = 2048
    max_log_bytes: int = 256 << 20
    max_events: int = 512
    max_turns: int = 256
    max_recalled: int = 10_000
    max_listed: int = 10_000
    max_watchers: int = 1024
    max_block_s: float = 30.0
    client: RedisClientConfig = field(default_factory=RedisClientConfig)


class RedisSessionStore(SessionStore):
    """Sessions in a Redis server, 6.2 or newer."""

    def __init__(
        self, client: RedisClient, watch_client: RedisClient, config: RedisStoreConfig
    ) -> None:
        """Prepare; see `connect`.

        Args:
            client: For everything but waiting.
            watch_client: For waiting, with connections of its own.
            config: Bounds.
        """
        self._client = client
        self._watch_client = watch_client
        self._config = config
        self.sources = RedisSources(client, ttl_s=config.ttl_s)
        self._last_read: OrderedDict[SessionId, Session] = OrderedDict()
        self._watchers = asyncio.Semaphore(config.max_watchers)

    @classmethod
    def connect(cls, url: str, config: RedisStoreConfig | None = None) -> Self:
        """A store on the server at `url`; connections open when first used (see `ping`).

        Raises:
            ValueError: If `url` is not a Redis URL.
        """
        config = config or RedisStoreConfig()
        # waiting watchers hold connections of their own, so that they never starve the writers
        watch_config = replace(
            config.client,
            max_connections=config.max_watchers,
            reply_timeout_s=config.client.reply_timeout_s + config.max_block_s,
            deadline_s=config.client.deadline_s + config.max_block_s,
        )
        return cls(RedisClient(url, config.client), RedisClient(url, watch_config), config)

    async def create(
        self,
        session_id: SessionId,
        config: SessionConfig,
        now_s: float,
        *,
        key_id: str | None = None,
    ) -> Session:
        session = Session(session_id, config, SessionStatus.CREATED, now_s, key_id=key_id)
        pairs = [item for pair in fields.encode_session(session).items() for item in pair]
        word, _ = await self._write(scripts.CREATE, session_id, _nonce(), *pairs)
        if word == "exists":
            raise ValueError(f"there is a session {session_id!r} already")
        # an index is in a slot of its own, so it is written after the record it points at
        for index in {scripts.index_key(None), scripts.index_key(key_id)}:
            await self._client.pipeline(
                ("ZADD", index, now_s, session_id),
                ("ZREMRANGEBYRANK", index, 0, -1 - self._config.max_listed),
            )
        return session

    async def get(self, session_id: SessionId) -> Session:
        [session] = await self._read_sessions([session_id])
        if session is None:
            raise SessionNotFound(session_id)
        return session

    async def recall(self, session_id: SessionId) -> Session:
        try:
            return await self.get(session_id)
        except StoreUnavailable:
            session = self._last_read.get(session_id)
            if session is None:
                raise
            return session

    async def list(self, *, limit: int = 100, key_id: str | None = None) -> Sequence[Session]:
        index = scripts.index_key(key_id)
        while limit > 0:
            ids = await self._client.call("ZREVRANGE", index, 0, limit - 1)
            sessions = await self._read_sessions([SessionId(raw.decode()) for raw in ids])
            expired = [raw for raw, session in zip(ids, sessions, strict=True) if session is None]
            if not expired:
                return [session for session in sessions if session is not None]
            # forgotten by the index too, so that the next turn finds others in their places
            await self._client.call("ZREM", index, *expired)
        return []

    async def start(self, session_id: SessionId, now_s: float) -> float:
        _, [started_at_s] = await self._write(scripts.START, session_id, now_s)
        return float(started_at_s)

    async def set_status(self, session_id: SessionId, status: SessionStatus) -> None:
        if status is SessionStatus.ENDED:
            raise ValueError("a session is ended by end(), which takes a reason")
        word, rest = await self._write(
            scripts.SET_STATUS, session_id, status, *state.sources(status)
        )
        if word == "refused":
            raise ValueError(f"a session cannot go from {rest[0].decode()} to {status}")

    async def end(self, session_id: SessionId, reason: str, now_s: float) -> bool:
        _, [is_done] = await self._write(
            scripts.END, session_id, reason, now_s, _nonce(), ttl_s=self._config.ttl_ended_s
        )
        return bool(is_done)

    async def erase(self, session_id: SessionId, *, key_id: str | None = None) -> None:
        await self._client.call("UNLINK", *scripts.keys(session_id))
        for index in {scripts.index_key(None), scripts.index_key(key_id)}:
            await self._client.call("ZREM", index, session_id)
        self._last_read.pop(session_id, None)

    async def claim(
        self,
        session_id: SessionId,
        stage: Stage,
        replica: str,
        *,
        ttl_s: float,
        steal_from: str | None = None,
    ) -> Lease:
        word, rest = await self._write(
            scripts.CLAIM, session_id, stage, replica, _ms(ttl_s), steal_from or "", _nonce()
        )
        if word == "owned":
            raise NotOwner(stage=stage, owner=rest[0].decode())
        epoch, is_new = rest
        return Lease(session_id, stage, replica, epoch, is_new=bool(is_new))

    async def release(self, lease: Lease) -> None:
        await self._write(scripts.RELEASE, lease.session_id, lease.stage, lease.owner, lease.epoch)

    async def append_chunk(self, lease: Lease, record: ChunkRecord) -> bool:
        counts_in, counts_kept = record.compressed.counts_in, record.compressed.counts_kept
        word, [answer] = await self._write(
            scripts.APPEND_CHUNK,
            lease.session_id,
            lease.stage,
            lease.owner,
            lease.epoch,
            record.index,
            record.follows,
            codec.encode_record(record),
            self._config.max_log_chunks,
            self._config.max_log_bytes,
            counts_in.video,
            counts_in.audio,
            counts_kept.video,
            counts_kept.audio,
        )
        if word == "owned":
            raise NotOwner(stage=lease.stage, owner=answer.decode() or "none")
        if word == "misplaced":
            raise ValueError(
                f"chunk {record.index} follows {record.follows}, the log ends at {int(answer)}"
            )
        return bool(answer)

    async def chunks(
        self, session_id: SessionId, *, after: int = -1, limit: int | None = None
    ) -> Sequence[ChunkRecord]:
        records: list[ChunkRecord] = []
        while limit is None or len(records) < limit:
            num_wanted = PAGE_CHUNKS if limit is None else min(PAGE_CHUNKS, limit - len(records))
            page = await self._read_log(session_id, after + 1, None, num_wanted)
            records += page
            if len(page) < num_wanted:
                break
            after = page[-1].index
        return records

    async def chunk(self, session_id: SessionId, index: int) -> ChunkRecord | None:
        found = await self._read_log(session_id, index, index, 1)
        return found[0] if found else None

    async def set_lag(self, session_id: SessionId, lag_s: float) -> None:
        await self._write(scripts.SET_LAG, session_id, lag_s)

    async def add_turn(self, session_id: SessionId, turn: Turn) -> None:
        await self._write(
            scripts.ADD_TURN, session_id, fields.encode_turn(turn), self._config.max_turns
        )

    async def turns(self, session_id: SessionId) -> Sequence[Turn]:
        meta, _, _, turns, *_ = scripts.keys(session_id)
        is_there, found = await self._client.pipeline(("EXISTS", meta), ("ZRANGE", turns, 0, -1))
        if not is_there:
            raise SessionNotFound(session_id)
        return [fields.decode_turn(data) for data in found]

    async def add_rule(self, session_id: SessionId, rule: Rule, *, max_rules: int) -> None:
        data = fields.encode_rule(rule)
        word, _ = await self._write(scripts.ADD_RULE, session_id, rule.id, data, max_rules)
        if word == "full":
            raise BadRequest(f"a session has at most {max_rules} rules: delete one", field="rules")

    async def rules(self, session_id: SessionId) -> Sequence[Rule]:
        return [rule for rule, _ in await self.watched(session_id)]

    async def watched(self, session_id: SessionId) -> Sequence[tuple[Rule, RuleState]]:
        meta, *_, rules, states = scripts.keys(session_id)
        is_there, found, standing = await self._client.pipeline(
            ("EXISTS", meta), ("HGETALL", rules), ("HGETALL", states)
        )
        if not is_there:
            raise SessionNotFound(session_id)
        pairs = [(fields.decode_rule(data), standing.get(id_)) for id_, data in found.items()]
        pairs.sort(key=lambda pair: (pair[0].created_at_s, pair[0].id))
        return [
            (rule, fields.decode_rule_state(raw) if raw else RuleState()) for rule, raw in pairs
        ]

    async def settle_rules(
        self, session_id: SessionId, index: int, verdicts: Sequence[Verdict]
    ) -> Sequence[bool]:
        args: list[str | bytes] = []
        for verdict in verdicts:
            event = _named(verdict.event) if verdict.event else ("", "")
            args += [verdict.rule_id, fields.encode_rule_state(verdict.state), *event]
        _, kept = await self._write(
            scripts.SETTLE_RULES, session_id, self._config.max_events, index, *args
        )
        return [bool(is_kept) for is_kept in kept]

    async def remove_rule(self, session_id: SessionId, rule_id: str) -> bool:
        _, [was_there] = await self._write(scripts.REMOVE_RULE, session_id, rule_id)
        return bool(was_there)

    async def publish(self, event: Event) -> None:
        await self._write(
            scripts.PUBLISH, SessionId(event.session_id), *_named(event), self._config.max_events
        )

    async def events(
        self, session_id: SessionId, *, after: str | None, block_s: float, limit: int = 100
    ) -> Sequence[tuple[str, Event]]:
        cursor = "0-0" if after is None else after
        fields.check_cursor(cursor)
        meta, _, _, _, events, *_ = scripts.keys(session_id)
        is_there, found = await self._client.pipeline(
            ("EXISTS", meta), ("XREAD", "COUNT", limit, "STREAMS", events, cursor)
        )
        if not is_there:
            raise SessionNotFound(session_id)
        if not found and block_s > 0:
            found = await self._wait_for_events(events, cursor, block_s, limit)
        return [
            (entry_id.decode(), fields.decode_event(session_id, entry[b"event"]))
            for _, entries in found or ()
            for entry_id, entry in entries
        ]

    async def ping(self) -> None:
        await self._client.call("PING")

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._watch_client.aclose()

    async def _write(
        self,
        script: str,
        session_id: SessionId,
        *args: str | bytes | float,
        ttl_s: float | None = None,
    ) -> tuple[str, Sequence[Any]]:
        ttl_ms = _ms(self._config.ttl_s if ttl_s is None else ttl_s)
        word, rest = await self._client.run(script, scripts.keys(session_id), ttl_ms, *args)
        if word == "missing":
            raise SessionNotFound(session_id)
        if word == "ended":
            raise SessionEnded(session_id, reason=rest[0].decode() or None)
        return word, rest

    async def _read_sessions(self, ids: Sequence[SessionId]) -> Sequence[Session | None]:
        metas = [("HGETALL", scripts.keys(session_id)[0]) for session_id in ids]
        (seconds, microseconds), *hashes = await self._client.pipeline(("TIME",), *metas)
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        sessions = [
            fields.decode_session(session_id, pairs, now_ms=now_ms) if pairs else None
            for session_id, pairs in zip(ids, hashes, strict=True)
        ]
        for session_id, session in zip(ids, sessions, strict=True):
            self._note(session_id, session)
        return sessions

    def _note(self, session_id: SessionId, session: Session | None) -> None:
        self._last_read.pop(session_id, None)
        if session is not None:
            self._last_read[session_id] = session
        if len(self._last_read) > self._config.max_recalled:
            self._last_read.popitem(last=False)

    async def _read_log(
        self, session_id: SessionId, first: int, last: int | None, limit: int
    ) -> Sequence[ChunkRecord]:
        meta, log, *_ = scripts.keys(session_id)
        end = "+" if last is None else f"{last}-1"
        is_there, entries = await self._client.pipeline(
            ("EXISTS", meta), ("XRANGE", log, f"{first}-1", end, "COUNT", limit)
        )
        if not is_there:
            raise SessionNotFound(session_id)
        return [codec.decode_record(entry[b"record"]) for _, entry in entries]

    async def _wait_for_events(self, key: str, cursor: str, block_s: float, limit: int) -> Any:
        if self._watchers.locked():
            raise AtCapacity(stage="events", limit=self._config.max_watchers)
        block_ms = _ms(min(block_s, self._config.max_block_s))
        async with self._watchers:
            return await self._watch_client.call(
                "XREAD", "COUNT", limit, "BLOCK", block_ms, "STREAMS", key, cursor
            )


def _named(event: Event) -> tuple[bytes, str]:
    """An event, and its nonce: by what it says, since it may be sent again by whoever failed."""
    data = fields.encode_event(event)
    return data, hashlib.sha256(data).hexdigest()[:16]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))  # 0 would mean no expiry, or to wait for ever


def _nonce() -> str:
    return secrets.token_hex(8)
