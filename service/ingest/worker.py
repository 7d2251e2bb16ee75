"""All sessions that one replica ingests. A plain class: knows nothing about Ray or HTTP."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from statistics import median

from service.errors import (
    AtCapacity,
    ServiceError,
    SessionNotFound,
    Unavailable,
)
from service.events import Event
from service.ingest.clip import ClipFile, Reel
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.container import Container
from service.ingest.desk import Holder, SourceDesk
from service.ingest.peer import DecodeFailures
from service.ingest.playback import Playback, RoomySink, Speed
from service.ingest.ports import limit_udp_ports
from service.ingest.recording.recorder import Recorder
from service.ingest.recording.recordings import Recordings
from service.ingest.sdp import parse_offer
from service.ingest.session import IngestSession
from service.ingest.source import Feed
from service.ingest.whip import WhipAnswer
from service.retry import insist
from service.sessions.record import SessionId
from service.stages import CompressorStage, LLMStage
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

STAGE = "ingest"
PART_WAIT_S = 5.0


class IngestWorker:
    """Owns the publishers of many sessions; they share its process and nothing else.

    `steal_from` names an owner that the caller could not reach: its lease is taken over.
    """

    def __init__(self, around: Surroundings, config: IngestConfig) -> None:
        self._around = around
        self._config = config
        self._sessions: dict[SessionId, IngestSession] = {}
        self._recordings = Recordings(config.recording)
        self._opening = asyncio.Lock()
        holder = Holder(self._hold, self._sessions.get, self._forget_unused)
        self._desk = SourceDesk(around, config, holder)
        self._tasks = TaskSet()
        self._is_draining = False
        self._has_ports = config.udp_ports is None
        frames = around.metrics.ingest_frames_total
        self._failures = DecodeFailures(
            lambda modality: frames.labels(modality=modality, result="undecodable").inc()
        )
        self._failures.open()

    @property
    def num_sessions(self) -> int:
        """Sessions held, with a publisher or waiting for one."""
        return len(self._sessions)

    @property
    def lag_s(self) -> float:
        """Glass to context, of the median session with a publisher; 0 without any."""
        lags_s = [one.intake.lag_s for one in self._sessions.values() if one.has_publisher]
        return median(lags_s) if lags_s else 0.0

    @property
    def media_s(self) -> list[float]:
        """For how long the media of each session with a publisher has been coming."""
        now_s = self._around.clock()
        began_s = [one.intake.started_at_s for one in self._sessions.values() if one.has_publisher]
        return [0.0 if began is None else now_s - began for began in began_s]

    @property
    def sources(self) -> SourceDesk:
        """Media that it fetches or is sent."""
        return self._desk

    @property
    def is_draining(self) -> bool:
        """It takes no more sessions."""
        return self._is_draining

    async def offer(
        self, session_id: SessionId, sdp: str, *, steal_from: str | None = None
    ) -> WhipAnswer:
        """Answer a publisher's offer.

        Raises:
            OfferRejected: The SDP cannot be answered.
            Unprocessable: It asks for what is not offered.
            SessionNotFound: There is no such session.
            SessionEnded: It is over.
            AlreadyPublishing: It has a publisher.
            AtCapacity: This replica is full.
            Unavailable: It is shutting down.
            NotOwner: Another replica ingests the session (between replicas only).
            StoreUnavailable: Redis cannot be reached.
        """
        offer = parse_offer(sdp)
        session = await self._hold(session_id, steal_from)
        try:
            return await session.answer(offer)
        finally:
            await self._forget_unused(session)

    async def feed(
        self, session_id: SessionId, kinds: tuple[str, ...] = ("video", "audio")
    ) -> Feed:
        """Publish frames by hand, for replays and tests; raises as `offer` does."""
        session = await self._hold(session_id, None)
        try:
            return await session.feed(kinds)
        finally:
            await self._forget_unused(session)

    async def play(
        self, session_id: SessionId, open_container: Callable[[], Container], speed: Speed
    ) -> Playback:
        """Publish a recording, as `open_container` opens it; raises as `offer` does."""
        session = await self._hold(session_id, None)
        try:
            return await self._play(session, [open_container], speed)
        finally:
            await self._forget_unused(session)

    async def digest(
        self,
        session_id: SessionId,
        files: Sequence[ClipFile],
        *,
        steal_from: str | None = None,
    ) -> None:
        """Take whole files in, in order, as fast as it goes; returns when all is in context.

        The session, which nobody has published to, takes no other publisher after that. It is
        the caller's to end; one that is left ends as any without a publisher.

        Raises:
            Unavailable: It was broken off, since the replica stops or the session was ended.
            ServiceError: As `Reel.openers` and `offer` do.
        """
        reel = Reel(files, self._config.clip)
        session = await self._hold(session_id, steal_from)
        try:
            playback = await self._play(session, reel.openers, "fast")
        finally:
            await self._forget_unused(session)
        await playback.wait_gone()
        if playback.failure is not None:
            raise playback.failure
        if not playback.is_complete or not await session.settle():
            raise Unavailable("it was broken off; ask again")

    async def record(
        self, session_id: SessionId, seconds: float, *, steal_from: str | None = None
    ) -> str:
        """Begin to record a session; returns the recording's id, for `recording_part`.

        Raises:
            Forbidden: This service makes no recordings.
            AtCapacity: The session is being recorded, or too many others are.
            ServiceError: As `offer` does, where the session cannot be held.
        """
        self._recordings.check_room(session_id)
        session = await self._hold(session_id, steal_from)
        turns = partial(self._around.store.turns, session_id)
        written = self._around.metrics.recording_bytes_total.inc
        recorder = Recorder(seconds, self._config.recording, self._around.clock, turns, written)
        try:
            recording_id = self._recordings.add(session_id, recorder)
            session.record(recorder)
            self._tasks.spawn(self._run_recording(session, recorder), name=f"record {session_id}")
        finally:
            await self._forget_unused(session)
        logger.info("recording begins", extra={"session_id": session_id})
        return recording_id

    async def recording_part(
        self,
        session_id: SessionId,
        recording_id: str,
        number: int,
        *,
        steal_from: str | None = None,
    ) -> bytes | None:
        """The next part of a recording, empty if there is none soon; None after the last.

        Raises:
            Unavailable: The recording is gone.
        """
        recorder = self._recordings.find(session_id, recording_id)
        return await recorder.part(number, wait_s=PART_WAIT_S)

    async def drop_recording(
        self, session_id: SessionId, recording_id: str, *, steal_from: str | None = None
    ) -> None:
        """End a recording that nobody fetches any more.

        Raises:
            Unavailable: The recording is gone.
        """
        self._recordings.find(session_id, recording_id).drop()

    async def trickle(
        self,
        session_id: SessionId,
        resource_id: str,
        fragment: str,
        if_match: str | None,
        *,
        steal_from: str | None = None,
    ) -> None:
        """Add candidates of a publisher.

        Raises:
            SessionNotFound: It is not this publisher who publishes here now.
            BadRequest: The fragment is malformed, or not for the current ICE session.
        """
        await self._held(session_id, resource_id).trickle(resource_id, fragment, if_match)

    async def check(
        self, session_id: SessionId, resource_id: str, *, steal_from: str | None = None
    ) -> None:
        """Find a publisher's connection.

        Raises:
            SessionNotFound: It is not this publisher who publishes here now.
        """
        self._held(session_id, resource_id).check(resource_id)

    async def hangup(
        self, session_id: SessionId, resource_id: str, *, steal_from: str | None = None
    ) -> None:
        """Close a publisher's connection; the session stays and becomes idle.

        Raises:
            SessionNotFound: It is not this publisher who publishes here now.
        """
        await self._held(session_id, resource_id).hangup(resource_id)

    async def end(
        self, session_id: SessionId, reason: str, *, steal_from: str | None = None
    ) -> None:
        """End a session; one that this replica does not hold, or that has ended, too.

        Raises:
            SessionNotFound: There is no such session.
            StoreUnavailable: Redis cannot be reached; call again.
        """
        session = self._let_go(session_id)
        if session is not None:
            await session.close()
        now_s = self._around.clock()
        if await self._around.store.end(session_id, reason, now_s):
            await self._around.store.publish(
                Event("session.ended", session_id, now_s, {"reason": reason})
            )
            logger.info("session ended: %s", reason, extra={"session_id": session_id})
        await asyncio.gather(
            self._free(session_id, self._around.stages.compressor),
            self._free(session_id, self._around.stages.llm),
        )

    async def drain(self, reason: str) -> None:
        """Take no more sessions, and let go of those held once what has arrived is in their logs.

        Their publishers are told to come back, which finds another replica.
        """
        self._is_draining = True
        sessions = [*self._sessions.values()]
        await asyncio.gather(*(self._hand_over(session, reason) for session in sessions))

    async def aclose(self) -> None:
        """Stop; sessions stay open in the store, for the replica that their publishers find."""
        self._is_draining = True
        await asyncio.gather(*(self._park(session) for session in [*self._sessions.values()]))
        await self._desk.aclose()
        await self._tasks.aclose()
        self._failures.close()

    async def _hold(self, session_id: SessionId, steal_from: str | None) -> IngestSession:
        async with self._opening:
            if session_id in self._sessions:
                return self._sessions[session_id]
            if self._is_draining:
                raise Unavailable("this replica is shutting down")
            if len(self._sessions) >= self._config.max_sessions:
                raise AtCapacity(stage=STAGE, limit=self._config.max_sessions)
            self._limit_ports()
            session = IngestSession(session_id, self._around, self._config, self._on_over)
            await session.open(steal_from)
            self._sessions[session_id] = session
            self._count()
            return session

    async def _play(
        self, session: IngestSession, openers: Sequence[Callable[[], Container]], speed: Speed
    ) -> Playback:
        async def make(sink: RoomySink) -> Playback:
            return Playback(openers, sink, self._around.clock, pace=speed)

        return await session.let_in(make)

    async def _run_recording(self, session: IngestSession, recorder: Recorder) -> None:
        try:
            with self._around.metrics.recordings_active.labels("record").track_inprogress():
                await recorder.run()
        finally:
            self._recordings.remove(session.id)
            recorder.drop()
        await self._forget_unused(session)

    def _held(self, session_id: SessionId, resource_id: str) -> IngestSession:
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionNotFound(resource_id)
        return session

    def _let_go(self, session_id: SessionId) -> IngestSession | None:
        session = self._sessions.pop(session_id, None)
        self._desk.let_go(session_id)
        self._count()
        return session

    async def _forget_unused(self, session: IngestSession) -> None:
        is_awaited = self._desk.awaits_upload(session.id) or session.id in self._recordings
        if not (session.has_begun or session.has_publisher or is_awaited):
            await self._park(session)

    async def _hand_over(self, session: IngestSession, reason: str) -> None:
        has_publisher = session.has_publisher
        await self._park(session)
        if has_publisher:
            data = {"stage": STAGE, "reason": reason}
            event = Event("session.moving", session.id, self._around.clock(), data)
            try:
                await self._around.store.publish(event)
            except ServiceError as error:
                # its connection is closed, which tells the publisher too
                logger.warning("move not told: %s", error, extra={"session_id": session.id})

    async def _park(self, session: IngestSession) -> None:
        if self._sessions.get(session.id) is session:
            self._let_go(session.id)
            await session.park(drain_s=self._config.drain_s)

    def _on_over(self, session: IngestSession, reason: str | None) -> None:
        # its own tasks report this, so it cannot be closed from here
        self._tasks.spawn(self._retire(session, reason), name=f"retire {session.id}")

    async def _retire(self, session: IngestSession, reason: str | None) -> None:
        if self._sessions.get(session.id) is not session:
            return
        if reason is None:
            self._let_go(session.id)
            await session.abandon()
            return
        with suppress(SessionNotFound):
            end = partial(self.end, session.id, reason)
            await insist(end, stage=STAGE, config=self._config.pipeline.retry)

    async def _free(self, session_id: SessionId, stage: CompressorStage | LLMStage) -> None:
        try:
            await stage.close(session_id)
        except ServiceError as error:
            # the stage frees it by itself later
            logger.warning("session not freed: %s", error, extra={"session_id": session_id})

    def _limit_ports(self) -> None:
        if not self._has_ports and self._config.udp_ports is not None:
            limit_udp_ports(asyncio.get_running_loop(), self._config.udp_ports)
            self._has_ports = True

    def _count(self) -> None:
        self._around.metrics.sessions_active.labels(stage=STAGE).set(len(self._sessions))


__all__ = ["IngestConfig", "IngestWorker", "Surroundings"]
