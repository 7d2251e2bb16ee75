"""What each API key uses of its limits, counted in Redis for all replicas together.

While Redis is away no session can be created, but questions are answered (docs/adr/0015): then each
replica counts those of its own by the same limits. A replica that dies leaves its questions counted
until their lease ends.
"""

import logging
from collections.abc import Sequence
from typing import Final, Protocol, Self

from service.access.limits import KeyLimits, QuestionCounter
from service.clock import Clock, steady_clock
from service.errors import RateLimited, StoreUnavailable
from service.sessions import quota_scripts, scripts
from service.sessions.record import SessionId, SessionStatus
from service.sessions.redis_client import RedisClient, RedisClientConfig

logger = logging.getLogger(__name__)

QUESTION_LEASE_MS: Final = 600_000
RETRY_SESSION_S: Final = 30.0


class Quotas(Protocol):
    """Counts what keys use; nobody is counted who has no key."""

    async def open_session(self, key_id: str | None, session_id: SessionId) -> None:
        """Admit a session that is about to be created.

        Raises:
            RateLimited: The key has as many open sessions as it may.
            StoreUnavailable: That cannot be found out.
        """
        ...

    async def close_session(self, key_id: str | None, session_id: SessionId) -> None:
        """Count a session no longer, for one whose record is erased; others are found out.

        Raises:
            StoreUnavailable: It stays counted for half a minute at the limit.
        """
        ...

    async def admit_rule(self, key_id: str | None) -> None:
        """Admit a watch rule that is about to be added to a session of this key.

        Raises:
            RateLimited: The key's open sessions have as many in all as they may.
            StoreUnavailable: That cannot be found out.
        """
        ...

    async def begin_question(self, key_id: str | None, question_id: str) -> None:
        """Admit a question; call `end_question` when it is answered or given up.

        Raises:
            RateLimited: The key has asked too much in the last minute, or too much at once.
        """
        ...

    async def end_question(self, key_id: str | None, question_id: str) -> None:
        """The question is over. Never raises: what stays counted ends with its lease."""
        ...


class RedisQuotas(Quotas):
    """`Quotas` in the sessions' Redis.

    Args:
        client: Its connections.
        limits: Of every key.
        session_s: Longest life of a session.
        clock: Times the questions that are counted here.
    """

    def __init__(
        self, client: RedisClient, limits: KeyLimits, *, session_s: float, clock: Clock
    ) -> None:
        self._client = client
        self._own = QuestionCounter(limits)
        self._clock = clock
        self._limits = limits
        self._session_ms = round(session_s * 1000)

    @classmethod
    def connect(cls, url: str, limits: KeyLimits, *, session_s: float) -> Self:
        """Quotas on the server at `url`. Raises `ValueError` if that is not a Redis URL."""
        client = RedisClient(url, RedisClientConfig())
        return cls(client, limits, session_s=session_s, clock=steady_clock())

    async def open_session(self, key_id: str | None, session_id: SessionId) -> None:
        if key_id is None:
            return
        counted = await self._try_open(key_id, session_id)
        if counted is None:
            return
        # sessions end in many ways, so the count is put right where it matters: at the limit
        over = await self._ended(counted)
        if over:
            await self._client.call("ZREM", quota_scripts.open_key(key_id), *over)
            if await self._try_open(key_id, session_id) is None:
                return
        raise RateLimited(
            what="open sessions", limit=self._limits.max_sessions, retry_after_s=RETRY_SESSION_S
        )

    async def close_session(self, key_id: str | None, session_id: SessionId) -> None:
        if key_id is not None:
            await self._client.call("ZREM", quota_scripts.open_key(key_id), session_id)

    async def admit_rule(self, key_id: str | None) -> None:
        # what sessions have is counted, not a number kept beside it: several that are added at the
        # same moment may each find room, and no death leaves a count wrong
        if key_id is None:
            return
        members = await self._client.call("ZRANGE", quota_scripts.open_key(key_id), 0, -1)
        commands: list[tuple[str, ...]] = []
        for raw in members:
            meta, *_, rules, _ = scripts.keys(SessionId(raw.decode()))
            commands += [("HGET", meta, "status"), ("HLEN", rules)]
        found = await self._client.pipeline(*commands)
        numbers = zip(found[::2], found[1::2], strict=True)
        total = sum(number for status, number in numbers if status != SessionStatus.ENDED.encode())
        if total >= self._limits.max_rules:
            raise RateLimited(
                what="watch rules", limit=self._limits.max_rules, retry_after_s=RETRY_SESSION_S
            )

    async def begin_question(self, key_id: str | None, question_id: str) -> None:
        if key_id is None:
            return
        limits = self._limits
        try:
            word, rest = await self._client.run(
                quota_scripts.BEGIN_QUESTION,
                quota_scripts.question_keys(key_id),
                question_id,
                limits.questions_per_minute,
                limits.max_questions,
                QUESTION_LEASE_MS,
            )
        except StoreUnavailable:
            self._own.begin(key_id, question_id, self._clock())
            return
        if word == "running":
            raise QuestionCounter.too_many_at_once(limits)
        if word == "recent":
            raise QuestionCounter.too_many_a_minute(limits, wait_s=int(rest[0]) / 1000)

    async def end_question(self, key_id: str | None, question_id: str) -> None:
        if key_id is None or self._own.end(key_id, question_id):
            return
        running, _ = quota_scripts.question_keys(key_id)
        try:
            await self._client.call("ZREM", running, question_id)
        except StoreUnavailable as error:
            logger.warning("question stays counted until its lease ends: %s", error)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _try_open(
        self, key_id: str, session_id: SessionId
    ) -> Sequence[tuple[SessionId, bool]] | None:
        """None once the session is counted; else all that are, and which may not be there yet."""
        word, rest = await self._client.run(
            quota_scripts.OPEN_SESSION,
            [quota_scripts.open_key(key_id)],
            session_id,
            self._limits.max_sessions,
            self._session_ms,
        )
        if word == "ok":
            return None
        ids, are_young = rest[::2], rest[1::2]
        return [
            (SessionId(raw.decode()), bool(is_young))
            for raw, is_young in zip(ids, are_young, strict=True)
        ]

    async def _ended(self, counted: Sequence[tuple[SessionId, bool]]) -> Sequence[SessionId]:
        statuses = await self._client.pipeline(
            *(("HGET", scripts.keys(session_id)[0], "status") for session_id, _ in counted)
        )
        return [
            session_id
            for (session_id, is_young), status in zip(counted, statuses, strict=True)
            if status == SessionStatus.ENDED.encode() or (status is None and not is_young)
        ]


__all__ = ["Quotas", "RedisQuotas"]
