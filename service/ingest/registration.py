"""What the store knows of a session's ingest: who owns it and where it stands."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from service.events import Event, EventType
from service.ingest.config import Surroundings
from service.sessions.record import Session, SessionId, SessionStatus, Stage
from service.sessions.store import Lease

EVENTS: Mapping[SessionStatus, EventType] = MappingProxyType(
    {
        SessionStatus.CONNECTING: "session.connecting",
        SessionStatus.LIVE: "session.live",
        SessionStatus.IDLE: "session.idle",
    }
)


class Registration:
    """The lease and the status of one session. Every method raises what the store raises.

    Args:
        session_id: Which one.
        around: Its store, clock and replica.
        lease_s: Life of the lease.
    """

    def __init__(self, session_id: SessionId, around: Surroundings, *, lease_s: float) -> None:
        self._session_id = session_id
        self._around = around
        self._lease_s = lease_s
        self._lease: Lease | None = None
        self._renewed_s = 0.0
        self._told: SessionStatus | None = None
        self._telling = asyncio.Lock()

    @property
    def lease(self) -> Lease | None:
        """The lease as it was claimed last; None before `open`."""
        return self._lease

    async def open(self, steal_from: str | None) -> Session:
        """Claim the session for this replica and read its record.

        Raises:
            SessionNotFound: There is none.
            SessionEnded: It is over.
            NotOwner: A replica other than `steal_from` ingests it.
        """
        await self._claim(steal_from)
        record = await self._around.store.get(self._session_id)
        self._told = record.status
        return record

    async def renew(self) -> None:
        """Renew the lease once a third of its life has passed.

        Raises:
            SessionNotFound: The session is gone.
            SessionEnded: It is over.
            NotOwner: Another replica has taken it.
        """
        if self._around.clock() - self._renewed_s >= self._lease_s / 3:
            await self._claim(None)

    async def confirm(self) -> None:
        """Make sure that the session is still this replica's; raises as `renew` does."""
        await self._claim(None)

    async def tell(self, status: SessionStatus, data: Mapping[str, Any]) -> None:
        """Write a status that is new and tell the session's watchers, with the event's `data`.

        Raises:
            SessionNotFound: The session is gone.
            SessionEnded: It is over.
            NotOwner: Another replica has taken it, whose status stands.
        """
        async with self._telling:
            if status is self._told:
                return
            await self.confirm()  # until the next renewal, nobody has told of a take-over
            if self._told is SessionStatus.CREATED and status is not SessionStatus.CONNECTING:
                # the store was away meanwhile; a session never skips this step
                await self._write(SessionStatus.CONNECTING, {})
            await self._write(status, data)

    async def release(self) -> None:
        """Give the lease back, so that another replica need not wait for its end."""
        if self._lease is not None:
            await self._around.store.release(self._lease)

    async def _write(self, status: SessionStatus, data: Mapping[str, Any]) -> None:
        store, clock = self._around.store, self._around.clock
        await store.set_status(self._session_id, status)
        self._told = status
        await store.publish(Event(EVENTS[status], self._session_id, clock(), data))

    async def _claim(self, steal_from: str | None) -> None:
        now_s = self._around.clock()
        self._lease = await self._around.store.claim(
            self._session_id,
            Stage.INGEST,
            self._around.replica,
            ttl_s=self._lease_s,
            steal_from=steal_from,
        )
        self._renewed_s = now_s


__all__ = ["Registration"]
