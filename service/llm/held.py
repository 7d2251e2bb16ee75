"""Which sessions an LLM replica holds in its cache. All of it can be rebuilt from the log."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.sessions.record import SessionId
from service.sessions.store import Lease


@dataclass(slots=True, eq=False)
class HeldSession:
    """One session of a replica; all but `num_users` is changed under its lock.

    Attributes:
        lease: Under which it was last used; None before the first time.
        claimed_at_s: Time of the last claim of that lease.
        is_open: The engine holds it.
        last_index: Index of the last log entry applied, -1 before the first.
        num_users: Calls that use it or wait to.
        used_at_s: Time of the last use.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lease: Lease | None = None
    claimed_at_s: float = 0.0
    is_open: bool = False
    last_index: int = -1
    num_users: int = 0
    used_at_s: float = 0.0

    def forget(self) -> None:
        """Note that the engine no longer holds it."""
        self.lease, self.is_open, self.last_index = None, False, -1


class HeldSessions:
    """Sessions in the order of their use."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[SessionId, HeldSession] = OrderedDict()

    @property
    def num_open(self) -> int:
        """Sessions that the engine holds."""
        return sum(session.is_open for session in self._sessions.values())

    @property
    def ids(self) -> tuple[SessionId, ...]:
        """Sessions that the replica holds or is asked for."""
        return tuple(self._sessions)

    @contextmanager
    def use(self, session_id: SessionId, now_s: float) -> Iterator[HeldSession]:
        """Count a use from now on; a session that is not open at the end of it is forgotten."""
        session = self._sessions.setdefault(session_id, HeldSession())
        self._sessions.move_to_end(session_id)
        session.used_at_s = now_s
        session.num_users += 1
        try:
            yield session
        finally:
            session.num_users -= 1
            if session.num_users == 0 and not session.is_open:
                del self._sessions[session_id]

    def idle(self, before_s: float) -> Iterator[SessionId]:
        """Give open sessions that nobody uses nor has used since `before_s`, oldest first."""
        for session_id, session in list(self._sessions.items()):
            if session.used_at_s > before_s:
                return
            if session.is_open and session.num_users == 0:
                yield session_id
