"""Publishing into a session: offer, connect, send, and connect again when the connection is lost.

The media parts need aiortc and are imported on first use, so that the rest of the SDK does not.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from clients.sdk import whip
from clients.sdk.async_client import AsyncClient
from clients.sdk.backoff import Backoff
from clients.sdk.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    MissingDependency,
    OmniSiftError,
    SourceUnavailable,
    TimedOut,
)

if TYPE_CHECKING:
    from clients.sdk.media.peer import SendingPeer
    from clients.sdk.media.source import Source
    from clients.sdk.media.tracks import Meter

State = Literal["connecting", "live", "reconnecting", "done"]
# the last packets are on their way when the last frame is encoded
LINGER_S = 0.3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far publishing has come.

    Attributes:
        sent_s: Seconds of stream sent.
        num_late_frames: Pictures left out because this machine was too slow.
        failure: Why the state is "reconnecting"; None otherwise.
    """

    state: State
    sent_s: float = 0.0
    num_video_frames: int = 0
    num_audio_frames: int = 0
    num_late_frames: int = 0
    failure: OmniSiftError | None = None


OnProgress = Callable[[Progress], None]


async def publish(
    client: AsyncClient,
    session_id: str,
    source: "Source",
    *,
    duration_s: float | None = None,
    on_progress: OnProgress | None = None,
    backoff: Backoff | None = None,
) -> Progress:
    """Send a source into a session until it ends, as live media.

    A lost connection is made again and the source goes on where it was: of a file only the frames
    on their way are lost, of a camera also what it saw meanwhile. Cancelling ends it cleanly; the
    WHIP resource is deleted either way, and the session stays.

        with open_synthetic() as source:
            await publish(client, session.id, source, duration_s=10)

    Args:
        client: Of the service that holds the session.
        session_id: Which session.
        source: From `clients.sdk.media`; not closed here.
        duration_s: Stop after so many seconds of stream; None: at the source's end.
        on_progress: Called with every change of state and a few times per second.
        backoff: When to connect again.

    Returns:
        What was sent, in all.

    Raises:
        SourceUnavailable: The source broke, or held no frame at all.
        OmniSiftError: The service refused, could not be reached at first, or was away for too long.
    """
    publication = _Publication(client, session_id, source, duration_s, on_progress)
    backoff = backoff or Backoff()
    num_failures = 0
    publication.tell("connecting")
    while True:
        try:
            await publication.run_once()
            break
        except OmniSiftError as exc:
            if not publication.was_live or not _is_passing(exc):
                raise
            num_failures = 1 if publication.is_live else num_failures + 1
            wait_s = backoff.wait_s(num_failures)
            if wait_s is None:
                raise
            publication.tell("reconnecting", exc)
        await asyncio.sleep(wait_s)
    return publication.finish()


class _Publication:
    """One source on its way into one session, over as many connections as it takes."""

    def __init__(
        self,
        client: AsyncClient,
        session_id: str,
        source: "Source",
        duration_s: float | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._new_peer, self._meter = _load_media()
        self._client = client
        self._session_id = session_id
        self._source = source
        self._duration_s = duration_s
        self._on_progress = on_progress
        self.is_live = False  # the connection last tried was made
        self.was_live = False  # some connection was made

    async def run_once(self) -> None:
        """Connect once and send until the source ends.

        Raises:
            OmniSiftError: The connection was not made, or was lost.
        """
        self.is_live = False
        peer = self._new_peer(self._source, self._meter, self._duration_s)
        try:
            async with self._offered(peer):
                self.is_live = self.was_live = True
                self.tell("live")
                await peer.finished(on_tick=lambda: self.tell("live"))
                await asyncio.sleep(LINGER_S)
        finally:
            await peer.close()

    def finish(self) -> Progress:
        """Tell that all is sent.

        Raises:
            SourceUnavailable: It ended because it broke, or never gave a frame.
        """
        if self._meter.failure is not None:
            raise self._meter.failure
        if not self._meter.num_video_frames + self._meter.num_audio_frames:
            raise SourceUnavailable(f"nothing in {self._source.name} can be decoded")
        return self.tell("done")

    def tell(self, state: State, failure: OmniSiftError | None = None) -> Progress:
        meter = self._meter
        progress = Progress(
            state,
            meter.sent_s,
            meter.num_video_frames,
            meter.num_audio_frames,
            meter.num_late_frames,
            failure,
        )
        if self._on_progress is not None:
            self._on_progress(progress)
        return progress

    @asynccontextmanager
    async def _offered(self, peer: "SendingPeer") -> AsyncIterator[None]:
        resource = await self._client.send(whip.offer(self._session_id, await peer.offer()))
        try:
            await peer.accept(resource.answer_sdp)
            yield
        finally:
            # before the peer is closed: the service then knows that this was no accident
            with suppress(OmniSiftError):
                await self._client.send(whip.delete(resource))


def _is_passing(failure: OmniSiftError) -> bool:
    if isinstance(failure, Conflict):
        # the service may not have noticed yet that the last connection is dead
        return failure.code == "already_publishing"
    if isinstance(failure, ApiError):
        return failure.is_retryable
    return isinstance(failure, ConnectionFailed | TimedOut)


def _load_media() -> "tuple[type[SendingPeer], Meter]":
    try:
        from clients.sdk.media.peer import SendingPeer
        from clients.sdk.media.tracks import Meter
    except ImportError as exc:
        raise MissingDependency(
            f"publishing needs {exc.name}, which is not installed: pip install aiortc av numpy"
        ) from exc
    return SendingPeer, Meter()
