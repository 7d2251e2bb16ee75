"""Media that one replica fetches or is sent for its sessions. Knows nothing about Ray or HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from service.errors import AlreadyPublishing, AtCapacity, BadRequest
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.origin import FileOrigin, Origin, find_origin, reopen_origin
from service.ingest.playback import Speed
from service.ingest.pull import SourceView
from service.ingest.pulls import orphan_view
from service.ingest.recording.provenance import check_provenance
from service.ingest.recording.reader import open_recording
from service.ingest.recording.replay import replay
from service.ingest.recording.report import ReplayItem
from service.ingest.session import IngestSession
from service.ingest.uploads import Uploads
from service.sessions.record import SessionId
from service.source_errors import SourceNotFound
from service.tasks import TaskSet


@dataclass(frozen=True, slots=True)
class Holder:
    """How the desk gets sessions from the replica that it is part of.

    Attributes:
        hold: Gives a session, claimed if need be; raises as `IngestWorker.offer` does.
        find: Gives a session that is held.
        forget: Lets go of one that nobody uses.
    """

    hold: Callable[[SessionId, str | None], Awaitable[IngestSession]]
    find: Callable[[SessionId], IngestSession | None]
    forget: Callable[[IngestSession], Coroutine[object, object, None]]


class SourceDesk:
    """Takes orders for media. Its methods raise as `IngestWorker.offer` does, and as they say."""

    def __init__(self, around: Surroundings, config: IngestConfig, holder: Holder) -> None:
        self._around = around
        self._config = config.sources
        self._has_thumbnails = config.has_thumbnails
        self._chunker = config.chunker
        self._recording = config.recording
        self._holder = holder
        self._kept = around.store.sources
        self._clock = around.clock
        self._uploads = Uploads(config.sources.uploads, self._on_given_up)
        self._num_replays = 0
        self._tasks = TaskSet()

    async def add(
        self, session_id: SessionId, url: str, speed: Speed, *, steal_from: str | None = None
    ) -> SourceView:
        """Publish what a URL leads to.

        Raises:
            UrlRefused: The operator does not allow it.
            SourceDenied: It is a file that cannot be opened.
            MediaUnreadable: It is a file without media.
            BadRequest: A live source has one speed.
        """
        origin = await find_origin(url, self._config.policy, self._config.limits)
        if origin.is_live and speed == "fast":
            raise BadRequest("a live source comes in real time", field="speed")
        return await self._pull(session_id, origin, url, speed, steal_from)

    async def resume(self, session_id: SessionId, *, steal_from: str | None = None) -> bool:
        """Go on with a source that fell silent, unless it turns out to be fetched here.

        Returns:
            False where there is nothing to go on with.
        """
        if await self._kept.find(session_id) is None:
            return False
        policy, limits = self._config.policy, self._config.limits
        session = await self._holder.hold(session_id, steal_from)
        try:
            return await session.sources.resume(lambda url: reopen_origin(url, policy, limits))
        finally:
            await self._holder.forget(session)

    async def views(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> Sequence[SourceView]:
        """What came for a session since this replica holds it, oldest first."""
        session = self._holder.find(session_id)
        if session is not None and session.sources.views:
            return session.sources.views
        kept = await self._kept.find(session_id)
        return () if kept is None else (orphan_view(kept, self._clock()),)

    async def remove(
        self, session_id: SessionId, source_id: str, *, steal_from: str | None = None
    ) -> None:
        """Stop a source; the session stays and becomes idle.

        Raises:
            SourceNotFound: There is no such source here.
        """
        session = self._holder.find(session_id)
        if session is not None:
            await session.sources.remove(source_id)
            return
        if await self._kept.find(session_id) is None:
            raise SourceNotFound(source_id)
        session = await self._holder.hold(session_id, steal_from)
        try:
            await session.sources.remove(source_id)
        finally:
            await self._holder.forget(session)

    async def begin_upload(self, session_id: SessionId, *, steal_from: str | None = None) -> str:
        """Begin to take a file in parts, and name it."""
        session = await self._holder.hold(session_id, steal_from)
        if session.has_publisher:
            raise AlreadyPublishing(session_id)
        try:
            return self._uploads.begin(session_id)
        finally:
            await self._holder.forget(session)

    async def append_upload(
        self,
        session_id: SessionId,
        upload_id: str,
        offset: int,
        data: bytes,
        *,
        steal_from: str | None = None,
    ) -> None:
        """Take a part of a file; the same part twice counts once.

        Raises:
            BodyTooLarge: It is over the limit.
            Unavailable: The upload is no longer here.
        """
        await self._uploads.append(session_id, upload_id, offset, data)
        session = self._holder.find(session_id)
        if session is not None:
            await session.keep()

    async def finish_upload(
        self,
        session_id: SessionId,
        upload_id: str,
        speed: Speed,
        *,
        steal_from: str | None = None,
    ) -> SourceView:
        """Publish a media file that has arrived.

        Raises:
            MediaUnreadable: It holds nothing that can be decoded.
            Unavailable: The upload is no longer here.
        """
        file = self._uploads.take(session_id, upload_id)
        origin = await FileOrigin.of(file, self._config.limits)
        return await self._pull(session_id, origin, None, speed, steal_from)

    async def replay(
        self,
        session_id: SessionId,
        upload_id: str,
        *,
        is_anyway: bool,
        steal_from: str | None = None,
    ) -> AsyncGenerator[ReplayItem, None]:
        """Replay a session's recording that has arrived; closing this ends it.

        Raises:
            AtCapacity: As many are replayed as may be.
            RecordingDiffers: Another version or model made it, and it is not to be `is_anyway`.
            Unavailable: The upload is no longer here, or the session was ended meanwhile.
            Unprocessable: It is no recording, or a damaged one.
        """
        with self._uploads.take(session_id, upload_id) as file, self._replaying():
            recording = await asyncio.to_thread(open_recording, file)
            check_provenance(
                recording.header,
                self._chunker,
                service=self._recording.service,
                model=self._recording.model,
                is_anyway=is_anyway,
            )
            session = await self._holder.hold(session_id, steal_from)
            items = replay(
                recording,
                session_id,
                self._around,
                has_thumbnails=self._has_thumbnails,
                max_s=self._config.limits.max_duration_s,
            )
            try:
                async with session.seat() as seat, aclosing(items):
                    async for item in items:
                        seat.use()
                        yield item
            finally:
                await self._holder.forget(session)

    async def abort_upload(
        self, session_id: SessionId, upload_id: str, *, steal_from: str | None = None
    ) -> None:
        """Give up a file, if it is here."""
        self._uploads.drop(upload_id)
        session = self._holder.find(session_id)
        if session is not None:
            await self._holder.forget(session)

    def awaits_upload(self, session_id: SessionId) -> bool:
        """Whether a file for the session is on its way."""
        return self._uploads.has(session_id)

    def let_go(self, session_id: SessionId) -> None:
        """The session is held no longer."""
        self._uploads.drop_all(session_id)

    async def aclose(self) -> None:
        self._uploads.drop_all()
        await self._tasks.aclose()

    async def _pull(
        self,
        session_id: SessionId,
        origin: Origin,
        url: str | None,
        speed: Speed,
        steal_from: str | None,
    ) -> SourceView:
        try:
            session = await self._holder.hold(session_id, steal_from)
        except BaseException:
            origin.close()
            raise
        try:
            return await session.sources.add(origin, url, speed)
        finally:
            await self._holder.forget(session)

    @contextmanager
    def _replaying(self) -> Iterator[None]:
        limit = self._config.uploads.max_uploads  # their files are kept as long
        if self._num_replays >= limit:
            raise AtCapacity(stage="replays", limit=limit)
        self._num_replays += 1
        try:
            with self._around.metrics.recordings_active.labels("replay").track_inprogress():
                yield
        finally:
            self._num_replays -= 1

    def _on_given_up(self, session_id: SessionId) -> None:
        session = self._holder.find(session_id)
        if session is not None:
            self._tasks.spawn(self._holder.forget(session), name=f"forget {session_id}")


__all__ = ["Holder", "SourceDesk"]
