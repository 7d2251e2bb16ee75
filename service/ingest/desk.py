"""Media that one replica fetches or is sent for its sessions. Knows nothing about Ray or HTTP."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass

from service.errors import AlreadyPublishing, BadRequest
from service.ingest.config import SourcesConfig
from service.ingest.origin import FileOrigin, Origin, find_origin
from service.ingest.playback import Speed
from service.ingest.pull import SourceView
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

    def __init__(self, config: SourcesConfig, holder: Holder) -> None:
        self._config = config
        self._holder = holder
        self._uploads = Uploads(config.uploads, self._on_given_up)
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
        return await self._pull(session_id, origin, speed, steal_from)

    async def views(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> Sequence[SourceView]:
        """What came for a session since this replica holds it, oldest first."""
        session = self._holder.find(session_id)
        return () if session is None else session.sources

    async def remove(
        self, session_id: SessionId, source_id: str, *, steal_from: str | None = None
    ) -> None:
        """Stop a source; the session stays and becomes idle.

        Raises:
            SourceNotFound: There is no such source here.
        """
        session = self._holder.find(session_id)
        if session is None:
            raise SourceNotFound(source_id)
        await session.remove_source(source_id)

    async def begin_upload(self, session_id: SessionId, *, steal_from: str | None = None) -> str:
        """Begin to take a recording in parts, and name it."""
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
        """Take a part of a recording; the same part twice counts once.

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
        """Publish a recording that has arrived.

        Raises:
            MediaUnreadable: It holds nothing that can be decoded.
            Unavailable: The upload is no longer here.
        """
        file = self._uploads.take(session_id, upload_id)
        origin = await FileOrigin.of(file, self._config.limits)
        return await self._pull(session_id, origin, speed, steal_from)

    async def abort_upload(
        self, session_id: SessionId, upload_id: str, *, steal_from: str | None = None
    ) -> None:
        """Give up a recording, if it is here."""
        self._uploads.drop(upload_id)
        session = self._holder.find(session_id)
        if session is not None:
            await self._holder.forget(session)

    def awaits_upload(self, session_id: SessionId) -> bool:
        """Whether a recording for the session is on its way."""
        return self._uploads.has(session_id)

    def let_go(self, session_id: SessionId) -> None:
        """The session is held no longer."""
        self._uploads.drop_all(session_id)

    async def aclose(self) -> None:
        self._uploads.drop_all()
        await self._tasks.aclose()

    async def _pull(
        self, session_id: SessionId, origin: Origin, speed: Speed, steal_from: str | None
    ) -> SourceView:
        try:
            session = await self._holder.hold(session_id, steal_from)
        except BaseException:
            origin.close()
            raise
        try:
            return await session.pull(origin, speed)
        finally:
            await self._holder.forget(session)

    def _on_given_up(self, session_id: SessionId) -> None:
        session = self._holder.find(session_id)
        if session is not None:
            self._tasks.spawn(self._holder.forget(session), name=f"forget {session_id}")


__all__ = ["Holder", "SourceDesk"]
