"""Watchers of event feeds: a bounded number of SSE streams read from the store."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from service.api import sse
from service.errors import AtCapacity, RateLimited, SessionNotFound, StoreUnavailable
from service.events import Event, EventType
from service.sessions.record import SessionId
from service.sessions.store import SessionStore

WHOLE_FEED = 10_000  # above any bound of a feed
RETRY_S = 5.0
OUTAGE_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class WatchersConfig:
    """Limits of one replica's event streams.

    Attributes:
        keep_alive_s: A comment is sent when nothing happens for this long.
        max_streams: Open at a time.
        max_key_streams: Of them, those of one API key.
        max_stream_bytes: After which a stream ends and its watcher reconnects.
    """

    keep_alive_s: float = 15.0
    max_streams: int = 256
    max_key_streams: int = 32
    max_stream_bytes: int = 4 << 20


class Watchers:
    """Streams event feeds to a bounded number of watchers.

    A slow watcher holds back nobody: each reads the bounded feed at its own pace, and what the
    feed has meanwhile forgotten is skipped. A stream ends by itself after `max_stream_bytes`, and
    its watcher comes back with its cursor: Ray Serve takes all that it is given, whether the
    watcher reads or not, so that much is the most that one can make it hold.
    """

    def __init__(self, store: SessionStore, config: WatchersConfig) -> None:
        self._store = store
        self._config = config
        self._num_streams: Counter[str | None] = Counter()

    def watch(
        self,
        session_id: SessionId,
        *,
        after: str | None,
        key_id: str | None = None,
        hidden: Collection[EventType] = (),
        is_over: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """The feed as SSE bytes, from cursor `after`, until the session ends or is forgotten.

        Events of the types `hidden` are left out. Of a session that `is_over`, what the feed still
        holds.

        Raises:
            AtCapacity: As many are open as this replica serves.
            RateLimited: As many are open as it serves to this key.
        """
        config = self._config
        if self._num_streams.total() >= config.max_streams:
            raise AtCapacity(stage="event streams", limit=config.max_streams)
        if key_id is not None and self._num_streams[key_id] >= config.max_key_streams:
            raise RateLimited(
                what="event streams", limit=config.max_key_streams, retry_after_s=RETRY_S
            )
        messages = self._messages(session_id, after, frozenset(hidden), is_over=is_over)
        return self._stream(messages, key_id)

    async def latest(self, session_id: SessionId) -> str | None:
        """The cursor of the newest event, to watch only what comes after it."""
        entries = await self._store.events(session_id, after=None, block_s=0.0, limit=WHOLE_FEED)
        return entries[-1][0] if entries else None

    async def _stream(
        self, messages: AsyncGenerator[bytes, None], key_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        self._num_streams[key_id] += 1
        try:
            num_bytes = 0
            async with aclosing(messages):
                async for message in messages:
                    yield message
                    num_bytes += len(message)
                    if num_bytes >= self._config.max_stream_bytes:
                        return
        except SessionNotFound:
            return  # the client reconnects with its cursor, and is told what is wrong then
        finally:
            self._num_streams[key_id] -= 1
            self._num_streams += Counter()  # forget keys that watch nothing

    async def _messages(
        self,
        session_id: SessionId,
        after: str | None,
        hidden: Collection[EventType],
        *,
        is_over: bool,
    ) -> AsyncGenerator[bytes, None]:
        yield sse.KEEP_ALIVE  # the response starts now, not with the first event
        while True:
            block_s = 0.0 if is_over else self._config.keep_alive_s
            entries = await self._next(session_id, after, block_s)
            if not entries and is_over:
                return
            if not entries:
                yield sse.KEEP_ALIVE
            for cursor, event in entries:
                after = cursor
                if event.type in hidden:
                    continue
                yield sse.encode(_fields(event), event=event.type, cursor=cursor)
                if event.type == "session.ended":
                    return

    async def _next(
        self, session_id: SessionId, after: str | None, block_s: float
    ) -> Sequence[tuple[str, Event]]:
        """Events after the cursor; none when none came in time, or while the store is away."""
        try:
            return await self._store.events(session_id, after=after, block_s=block_s)
        except StoreUnavailable:
            await asyncio.sleep(OUTAGE_PAUSE_S)
            return ()


def _fields(event: Event) -> dict[str, object]:
    return {
        "type": event.type,
        "session_id": event.session_id,
        "at_s": event.at_s,
        **event.data,
    }
