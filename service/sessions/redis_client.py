"""Connections to Redis: a pool, retries, deadlines. Knows nothing about sessions.

Every error of the client library leaves here as `StoreUnavailable`, chained.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    RedisError,
    TimeoutError,
)

from service.errors import StoreUnavailable

T = TypeVar("T")
# OSError: the builtin TimeoutError is one
TRANSIENT: Final = (ConnectionError, TimeoutError, BusyLoadingError, OSError)


@dataclass(frozen=True, slots=True)
class RedisClientConfig:
    """How to talk to Redis.

    Attributes:
        max_connections: Open connections; further calls wait for one.
        connect_timeout_s: For a connection to open.
        reply_timeout_s: For a reply to arrive, the wait for a connection included.
        deadline_s: For a call with all its retries.
        max_retries: Of a call whose connection failed.
        backoff_base_s: Wait before the first retry, at most; doubles with jitter.
        backoff_cap_s: Longest wait before a retry.
        pause_s: After a call in vain, others fail at once for so long; then one tries again, and
            the rest go on failing at once until it has succeeded.
    """

    max_connections: int = 64
    connect_timeout_s: float = 2.0
    reply_timeout_s: float = 2.0
    deadline_s: float = 5.0
    max_retries: int = 4
    backoff_base_s: float = 0.02
    backoff_cap_s: float = 0.5
    pause_s: float = 0.5


class RedisClient:
    """One pool of connections to one server, opened when first needed."""

    def __init__(self, url: str, config: RedisClientConfig) -> None:
        """Prepare the pool.

        Raises:
            ValueError: If `url` is not a Redis URL.
        """
        self._config = config
        self._backoff = ExponentialWithJitterBackoff(config.backoff_cap_s, config.backoff_base_s)
        self._away_until_s: float | None = None  # None while calls are answered
        self._is_trying = False
        # the timeouts and retries are ours: with a socket_timeout the library sends by
        # asyncio.wait_for, which up to Python 3.11 may swallow a cancellation (CPython gh-86296)
        pool = BlockingConnectionPool.from_url(
            url,
            protocol=2,
            max_connections=config.max_connections,
            timeout=None,
            socket_connect_timeout=config.connect_timeout_s,
            socket_timeout=None,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)

    async def run(
        self, script: str, keys: Sequence[str], *args: str | bytes | float
    ) -> tuple[str, list[Any]]:
        """Run a Lua script; returns the word it replies with and what follows it."""
        registered = self._redis.register_script(script)
        word, *rest = await self._answer(lambda: registered(keys=keys, args=args))
        return word.decode(), rest

    async def call(self, *command: str | bytes | float) -> Any:
        """Run one command and return its reply, as the library parses it."""
        execute: Callable[..., Awaitable[Any]] = self._redis.execute_command
        return await self._answer(lambda: execute(*command))

    async def pipeline(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """Run commands in one round trip, not in a transaction; returns their replies."""
        return await self._answer(lambda: self._pipeline(commands))

    async def _pipeline(self, commands: Sequence[tuple[str | bytes | float, ...]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute())

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def _answer(self, send: Callable[[], Awaitable[T]]) -> T:
        is_trial = self._begin_trial()
        try:
            async with asyncio.timeout(self._config.deadline_s):
                reply = await self._retry(send)
        except TRANSIENT as exc:
            self._away_until_s = asyncio.get_running_loop().time() + self._config.pause_s
            reason = _reason(exc) if isinstance(exc, RedisError) else str(exc)
            raise StoreUnavailable(reason or "no answer in time") from exc
        except RedisError as exc:
            raise StoreUnavailable(_reason(exc)) from exc
        finally:
            if is_trial:
                self._is_trying = False
        self._away_until_s = None
        return reply

    def _begin_trial(self) -> bool:
        """Whether this call is to find out if the server is back; False where it answers anyway."""
        if self._away_until_s is None:
            return False
        if self._is_trying or asyncio.get_running_loop().time() < self._away_until_s:
            raise StoreUnavailable("it did not answer a moment ago")
        self._is_trying = True
        return True

    async def _retry(self, send: Callable[[], Awaitable[T]]) -> T:
        num_failures = 0
        while True:
            try:
                async with asyncio.timeout(self._config.reply_timeout_s):
                    return await send()
            except TRANSIENT as exc:
                num_failures += 1
                if num_failures > self._config.max_retries or isinstance(exc, AuthenticationError):
                    raise
            await asyncio.sleep(self._backoff.compute(num_failures))


def _reason(error: RedisError) -> str:
    # a script's error of Redis 6.2 wraps this one, so that its type is lost
    if isinstance(error, OutOfMemoryError) or "OOM" in str(error):
        return "its memory is full (maxmemory); end sessions or give it more"
    return f"{type(error).__name__}: {error}"
