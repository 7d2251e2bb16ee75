"""What a compressor replica remembers of its sessions, bounded. All of it can be rebuilt."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from compressor.pipeline import StreamState, TokenCompressor
from service.errors import AtCapacity
from service.sessions.record import SessionId


@dataclass(frozen=True, slots=True)
class Sequel:
    """What a session is once a chunk is in its log.

    Attributes:
        index: Of the chunk.
        state: What the stream left with it.
        heard_until_s: Stream time up to which something was heard.
    """

    index: int
    state: StreamState
    heard_until_s: float


@dataclass(slots=True, eq=False)
class HeldSession:
    """One session in the memory of a replica; used under its lock, one chunk at a time.

    Attributes:
        epoch: Of the lease under which the rest was loaded, 0 for nothing loaded.
        last_index: Index of the last chunk in the log.
        compressor: By the session's profile; None while nothing is loaded.
        state: What the stream's last chunk left; None starts afresh.
        heard_until_s: Stream time up to which something was heard.
        unsettled: What it may be already: the log did not answer whether it took the chunk.
        num_users: Calls that hold or await the lock.
        used_at_s: Time of the last use.
    """

    epoch: int = 0
    last_index: int = -1
    compressor: TokenCompressor | None = None
    state: StreamState | None = None
    heard_until_s: float = 0.0
    unsettled: Sequel | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    num_users: int = 0
    used_at_s: float = 0.0

    def forget(self) -> None:
        """Drop everything that was loaded."""
        self.epoch, self.last_index, self.compressor, self.state = 0, -1, None, None
        self.unsettled = None

    def advance(self, sequel: Sequel) -> None:
        """Go on from a chunk that is in the log."""
        self.last_index, self.state = sequel.index, sequel.state
        self.heard_until_s, self.unsettled = sequel.heard_until_s, None

    def settle(self, last_index: int) -> None:
        """Go on from what the log says, after an append that was not answered."""
        if self.unsettled is not None and self.unsettled.index == last_index:
            self.advance(self.unsettled)
        self.unsettled = None


class HeldSessions:
    """At most `max_sessions`; the least recently used give way, and those idle for `idle_s`."""

    def __init__(self, *, max_sessions: int, idle_s: float) -> None:
        self._max_sessions = max_sessions
        self._idle_s = idle_s
        self._sessions: OrderedDict[SessionId, HeldSession] = OrderedDict()

    @property
    def ids(self) -> tuple[SessionId, ...]:
        """Sessions held."""
        return tuple(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    @asynccontextmanager
    async def use(self, session_id: SessionId, now_s: float) -> AsyncIterator[HeldSession]:
        """Lock a session, making room for it if it is new; kept afterwards only if loaded.

        Raises:
            AtCapacity: `max_sessions` are in use.
        """
        session = self._find(session_id, now_s)
        session.num_users += 1
        try:
            async with session.lock:
                yield session
        finally:
            session.num_users -= 1
            if not session.num_users and not session.epoch:
                del self._sessions[session_id]

    def drop_idle(self, now_s: float) -> None:
        """Drop the sessions that have not been used for `idle_s`."""
        idle: list[SessionId] = []
        for session_id, session in self._sessions.items():  # the longest unused come first
            if session.used_at_s > now_s - self._idle_s:
                break
            if not session.num_users:
                idle.append(session_id)
        for session_id in idle:
            del self._sessions[session_id]

    def _find(self, session_id: SessionId, now_s: float) -> HeldSession:
        session = self._sessions.get(session_id)
        if session is None:
            if len(self._sessions) >= self._max_sessions:
                self._make_room()
            session = self._sessions[session_id] = HeldSession()
        self._sessions.move_to_end(session_id)
        session.used_at_s = now_s
        return session

    def _make_room(self) -> None:
        for session_id, session in self._sessions.items():
            if not session.num_users:
                del self._sessions[session_id]
                return
        raise AtCapacity(stage="compressor", limit=self._max_sessions)


__all__ = ["HeldSession", "HeldSessions", "Sequel"]
