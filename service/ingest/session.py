"""One session on the replica that ingests it: who publishes, and until when it is kept.

Publishers come and go while the session stays; stream time runs on between them. Knows nothing
about other sessions.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from service.errors import (
    AlreadyPublishing,
    NotOwner,
    ServiceError,
    SessionEnded,
    SessionNotFound,
    Unavailable,
)
from service.events import Event
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.intake import Intake
from service.ingest.liveness import Liveness
from service.ingest.peer import Peer
from service.ingest.playback import RoomySink
from service.ingest.pulls import Pulls
from service.ingest.recording.recorder import Recorder
from service.ingest.registration import Registration
from service.ingest.sdp import Offer, parse_fragment
from service.ingest.seat import Seat
from service.ingest.source import Feed, MediaSource
from service.ingest.whip import WhipAnswer, check_trickle
from service.sessions.record import SessionId, SessionStatus
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

RESOURCE_BYTES = 8


class StartedSource(MediaSource, Protocol):
    """One that waits for its `start`."""

    def start(self) -> None: ...


Started = TypeVar("Started", bound=StartedSource)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes now.

    Attributes:
        resource_id: Names the connection in its WHIP URL.
        etag: Tag of its ICE session, with quotes.
        offer: What was answered; None without WebRTC.
        source: Its media.
    """

    resource_id: str
    etag: str
    offer: Offer | None
    source: MediaSource


class IngestSession:
    """Holds one session until it is closed.

    Args:
        session_id: Which one.
        around: What sessions share.
        config: Limits.
        on_over: Told that the session must go: with the reason to end it for, or None where it has
            ended elsewhere or another replica has taken it.
    """

    def __init__(
        self,
        session_id: SessionId,
        around: Surroundings,
        config: IngestConfig,
        on_over: Callable[["IngestSession", str | None], None],
    ) -> None:
        self.id = session_id
        self._around = around
        self._config = config
        self._on_over = on_over
        self._tasks = TaskSet()
        self._changing = asyncio.Lock()  # publishers change one at a time
        self._registration = Registration(session_id, around, lease_s=config.lease_s)
        self._liveness = Liveness(config.liveness, around.clock())
        self.sources = Pulls(self, around, config.sources, self._registration)
        self._intake = Intake(
            session_id,
            around,
            config,
            on_media=lambda now_s: self._liveness.media(now_s),
            on_placed=self.sources.place,
        )
        self._intake_task: asyncio.Task[None] | None = None
        self._publisher: Publisher | None = None
        self._idle_reason = ""
        self._is_cared_for = False
        self._is_closed = False
        self._is_through = False

    @property
    def has_publisher(self) -> bool:
        """Somebody publishes, or is about to."""
        return self._publisher is not None or self._changing.locked()

    @property
    def publisher_id(self) -> str | None:
        """Name of the connection, or source, that publishes; None: nobody does."""
        return None if self._publisher is None else self._publisher.resource_id

    @property
    def has_begun(self) -> bool:
        """Somebody has published since this replica holds the session."""
        return self._intake_task is not None

    @property
    def intake(self) -> Intake:
        """Where its media goes."""
        return self._intake

    async def open(self, steal_from: str | None) -> None:
        """Claim the session.

        Raises:
            SessionNotFound: There is none.
            SessionEnded: It is over.
            NotOwner: A replica other than `steal_from` ingests it.
        """
        record = await self._registration.open(steal_from)
        self._liveness = Liveness(
            self._config.liveness,
            self._around.clock(),
            has_had_media=record.started_at_s is not None,
            created_at_s=record.created_at_s,
        )

    async def answer(self, offer: Offer) -> WhipAnswer:
        """Let a WebRTC publisher in.

        Raises:
            AlreadyPublishing: There is one that is alive.
            OfferRejected: The offer cannot be answered.
        """
        async with self._change():
            peer = Peer(self._intake, self._around.clock, self._config.peer)
            try:
                sdp = await peer.answer(offer)
            except BaseException:
                await peer.aclose()
                raise
            publisher = self._begin(peer, offer)
            self._announce(offer.kinds)
        await self._try_tell()
        return WhipAnswer(sdp, publisher.resource_id, publisher.etag)

    async def feed(self, kinds: tuple[str, ...]) -> Feed:
        """Let a publisher in that pushes frames by hand; raises as `answer` does."""
        async with self._change():
            feed = Feed(self._intake, self._around.clock)
            self._begin(feed, None)
            self._announce(kinds)
        await self._try_tell()
        return feed

    async def let_in(
        self, make: Callable[[RoomySink], Awaitable[Started]], *, resource_id: str | None = None
    ) -> Started:
        """Let a publisher in that is made for the session's place; raises as `answer` does.

        Args:
            make: Makes it once the place is free, of where its media goes.
            resource_id: Its name; None: any.
        """
        async with self._change():
            source = await make(self._intake)
            self._begin(source, None, resource_id=resource_id)
            source.start()
        await self._try_tell()
        return source

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """Hold the publisher's place for chunks that come ready-made; raises as `answer` does."""
        seat = Seat(lambda: self._liveness.media(self._around.clock()))
        async with self._change():
            await self._intake.anchor()
            self._begin(seat, None)
        await self._try_tell()
        try:
            yield seat
        finally:
            await seat.aclose()

    async def keep(self) -> None:
        """Keep the session on this replica while its media is on its way here."""
        await self._registration.renew()

    def record(self, recorder: Recorder) -> None:
        """Let the session be recorded, from its first media on if it has had none."""
        self._intake.record(recorder)
        self._start_care()

    async def trickle(self, resource_id: str, fragment: str, if_match: str | None) -> None:
        """Add candidates of the publisher.

        Raises:
            SessionNotFound: It is not this publisher who publishes now.
            BadRequest: The fragment is malformed, or not for the current ICE session.
        """
        publisher = self._current(resource_id)
        if publisher.offer is None or not isinstance(publisher.source, Peer):
            raise SessionNotFound(resource_id)
        parsed = parse_fragment(fragment)
        ice_ufrag = publisher.offer.ice_ufrag
        check_trickle(parsed, if_match, etag=publisher.etag, ice_ufrag=ice_ufrag)
        await publisher.source.add_candidates(parsed.candidates, is_last=parsed.is_last)

    def check(self, resource_id: str) -> None:
        """Find the publisher.

        Raises:
            SessionNotFound: It is not this publisher who publishes now.
        """
        self._current(resource_id)

    async def hangup(self, resource_id: str) -> None:
        """Close the publisher's connection; the session stays and becomes idle.

        Raises:
            SessionNotFound: It is not this publisher who publishes now.
        """
        publisher = self._current(resource_id)
        async with self._changing:
            await self._dismiss(publisher, "hangup")
        await self._try_tell()

    async def settle(self, *, timeout_s: float | None = None) -> bool:
        """Let no more publishers in; return, after a time, if all that came is through by then."""
        self._is_closed = True
        async with self._changing:
            if self._publisher is not None:
                await self._dismiss(self._publisher, "closed")
        self._intake.finish()
        if self._intake_task is not None and timeout_s != 0:
            await asyncio.wait({self._intake_task}, timeout=timeout_s)
        return self._is_through

    async def close(self, *, drain_s: float = 0.0) -> None:
        """Stop everything; media on its way has `drain_s` to reach the context."""
        await self.settle(timeout_s=drain_s)
        await self._tasks.aclose()
        self._intake.stop_recording()

    async def park(self, *, drain_s: float) -> None:
        """Close, and leave the session idle for whichever replica its publisher comes back to."""
        self.sources.leave()
        await self.close(drain_s=drain_s)
        with suppress(ServiceError):
            await self._registration.confirm()  # the publisher may be back elsewhere already
            if self.has_begun:
                await self._try_tell()
            await self._registration.release()
            await self.sources.hand_over()

    async def abandon(self) -> None:
        """Close without a word: the session is over, or another replica's."""
        self.sources.abandon()
        await self.close()

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        """Hold the place of the publisher, which is free or whose holder has fallen silent."""
        if self._changing.locked():
            raise AlreadyPublishing(self.id)
        async with self._changing:
            if self._is_closed:
                raise Unavailable("the session is moving to another replica")
            if self._publisher is not None:
                if not self._liveness.may_take_over(self._around.clock()):
                    raise AlreadyPublishing(self.id)
                await self._dismiss(self._publisher, "replaced")
            yield

    def _announce(self, kinds: tuple[str, ...]) -> None:
        self._intake.begin(has_video="video" in kinds, has_audio="audio" in kinds)

    def _begin(
        self, source: MediaSource, offer: Offer | None, *, resource_id: str | None = None
    ) -> Publisher:
        made_id, tag = (secrets.token_hex(RESOURCE_BYTES) for _ in range(2))
        publisher = Publisher(resource_id or made_id, f'"{tag}"', offer, source)
        self._publisher = publisher
        self._liveness.begin(self._around.clock())
        self._tasks.spawn(self._watch(publisher), name=f"publisher {self.id}")
        if self._intake_task is None:
            self._intake_task = self._tasks.spawn(self._take_in(), name=f"intake {self.id}")
        self._start_care()
        return publisher

    def _start_care(self) -> None:
        if not self._is_cared_for:
            self._is_cared_for = True
            self._tasks.spawn(self._care(), name=f"care {self.id}")

    def _current(self, resource_id: str) -> Publisher:
        publisher = self._publisher
        if publisher is None or publisher.resource_id != resource_id:
            raise SessionNotFound(resource_id)
        return publisher

    async def _dismiss(self, publisher: Publisher, reason: str) -> None:
        if self._publisher is publisher:
            await publisher.source.aclose()
            self._publisher = None
            self._idle_reason = reason
            self._intake.gone()
            self._liveness.gone(self._around.clock())

    async def _watch(self, publisher: Publisher) -> None:
        await publisher.source.wait_gone()
        async with self._changing:
            await self._dismiss(publisher, "gone")

    async def _take_in(self) -> None:
        try:
            await self._intake.run()
            self._is_through = True
        except (SessionEnded, SessionNotFound):
            self._on_over(self, None)
        except Exception:
            logger.exception("intake failed", extra={"session_id": self.id})
            self._on_over(self, "internal_error")

    async def _care(self) -> None:
        while True:
            await asyncio.sleep(self._config.care_s)
            reason = self._liveness.end_reason(self._around.clock())
            if reason is not None and self.has_begun:
                self._on_over(self, reason)
                return
            try:
                await self._registration.renew()
                await self.sources.care(is_settled=self._intake.is_settled)
                await self._tell()
                await self._tell_oversized()
            except (SessionEnded, SessionNotFound, NotOwner):
                self._on_over(self, None)
                return
            except ServiceError as error:
                logger.debug("status not told: %s", error, extra={"session_id": self.id})
            except Exception:
                logger.exception("care failed", extra={"session_id": self.id})
                self._on_over(self, "internal_error")
                return

    async def _tell(self) -> None:
        if not self.has_begun:
            return  # it is held to be recorded once somebody publishes
        status = self._liveness.status(self._around.clock())
        started_at_s = self._intake.started_at_s
        if status is SessionStatus.LIVE and started_at_s is None:
            return  # stream time zero is being fixed
        reason = self._idle_reason if self._publisher is None else "silent"
        data: dict[SessionStatus, dict[str, Any]] = {
            SessionStatus.LIVE: {"started_at_s": started_at_s},
            SessionStatus.IDLE: {"reason": reason},
        }
        await self._registration.tell(status, data.get(status, {}))

    async def _tell_oversized(self) -> None:
        if self._intake.take_oversized():
            now_s, data = self._around.clock(), {"reason": "oversized"}
            await self._around.store.publish(Event("dropped", self.id, now_s, data))

    async def _try_tell(self) -> None:
        """Tell now what `_care` would tell within a moment, and again if this fails."""
        try:
            await self._tell()
        except ServiceError as error:
            logger.debug("status not told: %s", error, extra={"session_id": self.id})


__all__ = ["IngestSession"]
