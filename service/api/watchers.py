"""Watchers of event feeds: a bounded number of SSE streams read from the store."""

from collections.abc import AsyncIterator

from service.api import sse
from service.errors import AtCapacity, SessionNotFound, StoreUnavailable
from service.events import Event
from service.sessions.record import SessionId
from service.sessions.store import SessionStore

WHOLE_FEED = 10_000  # above any bound of a feed


class Watchers:
    """Streams event feeds to at most `max_streams` watchers at a time.

    A slow watcher holds back nobody: each reads the bounded feed at its own pace, and what the
    feed has meanwhile forgotten is skipped.
    """

    def __init__(self, store: SessionStore, *, keep_alive_s: float, max_streams: int) -> None:
        self._store = store
        self._keep_alive_s = keep_alive_s
        self._max_streams = max_streams
        self._num_streams = 0

    def watch(self, session_id: SessionId, *, after: str | None) -> AsyncIterator[bytes]:
        """The feed as SSE bytes, from cursor `after`, until the session ends or is forgotten.

        Raises:
            AtCapacity: `max_streams` are open.
        """
        if self._num_streams >= self._max_streams:
            raise AtCapacity(stage="event streams", limit=self._max_streams)
        return self._stream(session_id, after)

    async def latest(self, session_id: SessionId) -> str | None:
        """The cursor of the newest event, to watch only what comes after it."""
        entries = await self._store.events(session_id, after=None, block_s=0.0, limit=WHOLE_FEED)
        return entries[-1][0] if entries else None

    async def _stream(self, session_id: SessionId, after: str | None) -> AsyncIterator[bytes]:
        self._num_streams += 1
        try:
            yield sse.KEEP_ALIVE  # the response starts now, not with the first event
            while True:
                entries = await self._store.events(
                    session_id, after=after, block_s=self._keep_alive_s
                )
                if not entries:
                    yield sse.KEEP_ALIVE
                for cursor, event in entries:
                    after = cursor
                    yield sse.encode(_fields(event), event=event.type, cursor=cursor)
                    if event.type == "session.ended":
                        return
        except (SessionNotFound, StoreUnavailable):
            return  # the client reconnects with its cursor, and is told what is wrong then
        finally:
            self._num_streams -= 1


def _fields(event: Event) -> dict[str, object]:
    return {
        "type": event.type,
        "session_id": event.session_id,
        "at_s": event.at_s,
        **event.data,
    }
