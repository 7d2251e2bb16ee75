"""What the HTTP side needs from the rest of the service, as protocols."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from service.ingest.clip import ClipFile
from service.ingest.playback import Speed
from service.ingest.pull import SourceView
from service.ingest.recording.report import ReplayItem
from service.ingest.whip import WhipAnswer
from service.sessions.quotas import Quotas
from service.sessions.record import SessionId
from service.sessions.store import SessionStore
from service.stages import LLMStage


class IngestStage(Protocol):
    """WebRTC peers and files, wherever they live."""

    async def offer(self, session_id: SessionId, sdp: str) -> WhipAnswer:
        """Answer a publisher's offer.

        Raises:
            OfferRejected: The SDP cannot be answered.
            AlreadyPublishing: The session has a publisher.
            AtCapacity: No replica takes another session now.
        """
        ...

    async def trickle(
        self, session_id: SessionId, resource_id: str, fragment: str, if_match: str | None
    ) -> None:
        """Add the candidates of a `trickle-ice-sdpfrag` body (RFC 8840)."""
        ...

    async def check(self, session_id: SessionId, resource_id: str) -> None:
        """Find the publisher's connection.

        Raises:
            SessionNotFound: No replica holds it (any more).
        """
        ...

    async def hangup(self, session_id: SessionId, resource_id: str) -> None:
        """Close the publisher's connection; the session goes on and can be published to again."""
        ...

    async def digest(self, session_id: SessionId, files: Sequence[ClipFile]) -> None:
        """Take files, or those at URLs, into a new session; returns when all is in context.

        Raises:
            MediaUnreadable: One is not of its kind, too large, too long, or cannot be decoded.
            UrlRefused: It may not be fetched.
            SourceDenied: Its server does not give it.
            SourceUnreachable: It cannot be fetched.
            AtCapacity: No replica takes another session now.
        """
        ...

    async def record(self, session_id: SessionId, seconds: float) -> str:
        """Begin to record a session; returns the recording's id.

        Raises:
            Forbidden: This service makes no recordings.
            AtCapacity: The session is being recorded, or too many others are.
            SessionEnded: It is over.
        """
        ...

    async def recording_part(
        self, session_id: SessionId, recording_id: str, number: int
    ) -> bytes | None:
        """Part `number` of a recording, empty if there is none soon; None after the last.

        Raises:
            Unavailable: The recording is gone.
        """
        ...

    async def drop_recording(self, session_id: SessionId, recording_id: str) -> None:
        """Nobody fetches it any more; raises as `recording_part` does."""
        ...

    async def end(self, session_id: SessionId, reason: str) -> None:
        """End the session: its publisher's connection, its context, its record's status."""
        ...


class SourceStage(Protocol):
    """Media that the service fetches or is sent, wherever that happens."""

    async def add(self, session_id: SessionId, url: str, speed: Speed) -> SourceView:
        """Fetch media for the session.

        Raises:
            UrlRefused: The operator does not allow it.
            AlreadyPublishing: The session has a publisher.
            AtCapacity: No replica takes another session now.
        """
        ...

    async def views(self, session_id: SessionId) -> Sequence[SourceView]:
        """What was fetched for the session, oldest first; those that are over among them."""
        ...

    async def remove(self, session_id: SessionId, source_id: str) -> None:
        """Stop a source; raises `SourceNotFound`."""
        ...

    async def begin_upload(self, session_id: SessionId) -> str:
        """Begin to take a file, and name it; raises as `add`."""
        ...

    async def append_upload(
        self, session_id: SessionId, upload_id: str, offset: int, data: bytes
    ) -> None:
        """Take a part; raises `BodyTooLarge`, and `Unavailable` where the upload is lost."""
        ...

    async def finish_upload(
        self, session_id: SessionId, upload_id: str, speed: Speed
    ) -> SourceView:
        """Play what has arrived; raises as `add`, and `MediaUnreadable`."""
        ...

    def replay(
        self, session_id: SessionId, upload_id: str, *, is_anyway: bool
    ) -> AsyncGenerator[ReplayItem, None]:
        """Replay the session's recording that has arrived; closing the iterator ends it.

        Raises:
            RecordingDiffers: Another version or model made it, and it is not to be `is_anyway`.
            Unprocessable: It is no recording, or a damaged one.
            AtCapacity: As many are replayed as may be.
        """
        ...

    async def abort_upload(self, session_id: SessionId, upload_id: str) -> None:
        """Give up an upload."""
        ...


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that answers, as `GET /v1/models` tells it."""

    name: str
    created_at_s: int


class Backend(Protocol):
    """The service behind the HTTP side."""

    @property
    def store(self) -> SessionStore: ...

    @property
    def ingest(self) -> IngestStage: ...

    @property
    def sources(self) -> SourceStage: ...

    @property
    def llm(self) -> LLMStage: ...

    @property
    def quotas(self) -> Quotas: ...

    @property
    def model(self) -> ModelInfo: ...

    def admit(self) -> AbstractAsyncContextManager[None]:
        """Hold a place for another session until its record is made.

        Raises:
            AtCapacity: The service is full; the sessions that there are keep their pace.
            Unavailable: It is shutting down.
        """
        ...

    async def shortage(self) -> str | None:
        """The limit at which the service is full; None where it takes another session."""
        ...

    async def checks(self) -> Mapping[str, str]:
        """State of each part: "ok", or what is wrong with it."""
        ...

    async def exposition(self) -> bytes:
        """The metrics of all replicas in Prometheus text format."""
        ...
