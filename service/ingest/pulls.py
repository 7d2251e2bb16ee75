"""A session's sources: told to its watchers, and kept where another replica finds them."""

import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from math import inf
from typing import Protocol

from service.errors import ServiceError, SessionNotFound
from service.events import Event
from service.ingest.config import SourcesConfig, Surroundings
from service.ingest.origin import Origin
from service.ingest.playback import RoomySink, Speed
from service.ingest.pull import MOVED, MOVES, STOPPED, Pull, SourceView
from service.ingest.registration import Registration
from service.ingest.source_policy import shown_url
from service.sessions.record import KeptSource, SessionId
from service.source_errors import SourceNotFound

logger = logging.getLogger(__name__)

BEAT_S = 0.5
ID_BYTES = 8
REPLACED = "another publisher came"


class Place(Protocol):
    """A session, as its sources see it; methods raise as those of `IngestSession`."""

    id: SessionId

    @property
    def publisher_id(self) -> str | None:
        """Who publishes; None: nobody."""
        ...

    async def let_in(
        self, make: Callable[[RoomySink], Awaitable[Pull]], *, resource_id: str | None = None
    ) -> Pull:
        """Make a publisher once the place is free, and start it."""
        ...

    async def hangup(self, resource_id: str) -> None:
        """Close it."""
        ...


class Pulls:
    """The latest sources of one session, of which the last may be playing.

    What plays is in the store until all of it is in the log: password and all, so that whoever
    holds the session next can go on with it. Writes there are this replica's as long as its lease.

    Args:
        place: The session, for its publisher's place.
        around: The store, the clock, the metrics.
        config: Limits.
        registration: Has the lease.
    """

    def __init__(
        self,
        place: Place,
        around: Surroundings,
        config: SourcesConfig,
        registration: Registration,
    ) -> None:
        self._place = place
        self._session_id = place.id
        self._around = around
        self._config = config
        self._registration = registration
        self._pulls: dict[str, Pull] = {}
        self._kept: KeptSource | None = None
        self._is_stale = False  # the store does not have it as it is
        self._beaten_s = -inf

    @property
    def views(self) -> tuple[SourceView, ...]:
        """How they stand, oldest first."""
        return tuple(pull.view for pull in self._pulls.values())

    async def add(self, origin: Origin, url: str | None, speed: Speed) -> SourceView:
        """Fetch media for the session; raises as `IngestSession.answer` does.

        Args:
            origin: What is fetched.
            url: Its URL, for another replica to go on with it; None for an upload.
            speed: Of a media file.
        """
        source_id = f"src_{secrets.token_urlsafe(ID_BYTES)}"
        return await self._let_in(origin, KeptSource(source_id, url, speed))

    async def resume(self, open_origin: Callable[[str | None], Awaitable[Origin]]) -> bool:
        """Go on with the source that another replica fetched; raises as `add` does.

        A media file goes on behind what of it is in the log, a live source with what it shows now.

        Returns:
            False where there is nothing to go on with.
        """
        kept = await self._around.store.sources.find(self._session_id)
        if kept is None or kept.id == self._playing_id:
            return kept is not None
        if self._place.publisher_id is not None:
            await self._give_up(kept, REPLACED)
            return False
        origin = await open_origin(kept.url)
        record = await self._around.store.get(self._session_id)
        skip_s = kept.played_s(record.last_index)
        again = replace(kept, skip_s=skip_s, from_index=None)
        await self._let_in(origin, again, is_resumed=True)
        return True

    async def remove(self, source_id: str) -> None:
        """Stop a source if it still plays, and tell of it no more.

        Raises:
            SourceNotFound: There is no such source.
        """
        if source_id not in self._pulls:
            kept = await self._around.store.sources.find(self._session_id)
            if kept is None or kept.id != source_id:
                raise SourceNotFound(source_id)
            await self._give_up(kept, STOPPED)
            return
        with suppress(SessionNotFound):  # it is over
            await self._place.hangup(source_id)
        self._pulls.pop(source_id, None)
        if self._playing_id == source_id:
            await self._forget()

    async def place(self, index: int) -> None:
        """Keep the chunk at which the media file that plays begins."""
        if self._kept is not None:
            self._kept = replace(self._kept, from_index=index)
            await self._try_write()

    async def care(self, *, is_settled: bool) -> None:
        """Say that the source is fetched here; call it a few times a second.

        Args:
            is_settled: All that has come of it is in the log.
        """
        if self._kept is None:
            return
        if is_settled and self._pulls[self._kept.id].view.is_over:
            await self._forget()
            return
        if self._is_stale:
            await self._try_write()
        now_s = self._around.clock()
        if now_s - self._beaten_s >= BEAT_S:
            self._beaten_s = now_s
            await self._around.store.sources.beat(self._session_id)

    def leave(self) -> None:
        """The session goes to another replica, and its source with it."""
        for pull in self._pulls.values():
            pull.leave(("reconnecting", MOVES))

    def abandon(self) -> None:
        """The session is over, or another replica's: there is nothing to be told from here."""
        for pull in self._pulls.values():
            pull.leave(None)
        self._kept = None

    async def hand_over(self) -> None:
        """Let another replica go on at once; after the lease was given back."""
        if self._kept is not None:
            await self._around.store.sources.let_go(self._session_id)

    async def _let_in(
        self, origin: Origin, kept: KeptSource, *, is_resumed: bool = False
    ) -> SourceView:
        async def make(sink: RoomySink) -> Pull:
            return await self._make(origin, sink, kept, is_resumed=is_resumed)

        try:
            pull = await self._place.let_in(make, resource_id=kept.id)
        except BaseException:
            origin.close()
            raise
        return pull.begun

    async def _make(
        self, origin: Origin, sink: RoomySink, kept: KeptSource, *, is_resumed: bool
    ) -> Pull:
        pull = Pull(
            kept.id,
            origin,
            _speed(kept),
            sink,
            self._around.clock,
            self._config.retry,
            self._tell,
            skip_s=kept.skip_s,
            is_resumed=is_resumed,
        )
        await self._write(kept)
        self._kept = kept
        self._pulls[kept.id] = pull
        if len(self._pulls) > self._config.max_listed:
            del self._pulls[next(iter(self._pulls))]  # those before the last are over
        return pull

    @property
    def _playing_id(self) -> str | None:
        return None if self._kept is None else self._kept.id

    async def _give_up(self, kept: KeptSource, reason: str) -> None:
        """Tell that a source which was begun elsewhere is not gone on with."""
        self._kept = kept
        view = orphan_view(kept, self._around.clock())
        await self._tell(replace(view, state="ended", reason=reason))

    async def _forget(self) -> None:
        """Take the source out of the store."""
        self._kept, self._is_stale = None, False
        try:
            await self._write(None)
        except ServiceError as error:
            # found silent later, and given up then
            logger.warning("source not forgotten: %s", error, extra=self._fields)

    async def _tell(self, view: SourceView) -> None:
        logger.info("source is %s", view.state, extra=self._fields)
        self._around.metrics.source_states_total.labels(state=view.state).inc()
        data = asdict(view)
        event = Event(
            "source.state", self._session_id, view.since_s, {"source_id": data.pop("id"), **data}
        )
        try:
            await self._around.store.publish(event)
        except ServiceError as error:
            logger.warning("source not told: %s", error, extra=self._fields)
        # one that reached its end stays in the store until all of it is in the log
        has_more = view.state == "ended" and view.reason is None
        if view.is_over and self._playing_id == view.id and not has_more:
            await self._forget()

    async def _try_write(self) -> None:
        try:
            await self._write(self._kept)
            self._is_stale = False
        except ServiceError as error:
            self._is_stale = True
            logger.warning("source not kept: %s", error, extra=self._fields)

    async def _write(self, kept: KeptSource | None) -> None:
        lease = self._registration.lease
        assert lease is not None, "a session is held before it has sources"
        await self._around.store.sources.keep(lease, kept)

    @property
    def _fields(self) -> dict[str, str]:
        return {"session_id": self._session_id}


def orphan_view(kept: KeptSource, now_s: float) -> SourceView:
    """A source whose replica is gone, until another goes on with it."""
    url = None if kept.url is None else shown_url(kept.url)
    return SourceView(kept.id, url, _speed(kept), "reconnecting", MOVED, now_s)


def _speed(kept: KeptSource) -> Speed:
    return "fast" if kept.speed == "fast" else "realtime"


__all__ = ["Pulls", "orphan_view"]
