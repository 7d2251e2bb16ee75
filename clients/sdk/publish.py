"""Publishing into a session: offer, connect, send, and connect again when the connection is lost.

The media parts need aiortc and are imported on first use, so that the rest of the SDK does not.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
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
    NotFound,
    OmniSiftError,
    SourceUnavailable,
    TimedOut,
    is_outage,
)

if TYPE_CHECKING:
    from clients.sdk.media.peer import SendingPeer
    from clients.sdk.media.source import Source
    from clients.sdk.media.tracks import Meter
    from clients.sdk.whip import IceServer, WhipResource

State = Literal["connecting", "live", "reconnecting", "done"]
# the last packets are on their way when the last frame is encoded
LINGER_S = 0.3
# an outage that lasts longer is for the caller to deal with
OUTAGE_LIMIT_S = 60.0
OFFER_LIMIT_S = 15.0
CHECK_LIMIT_S = 2.0
HANGUP_LIMIT_S = 2.0
# the feed tells of a move also while it happens, when this publisher has come along already
MOVED_ALONG_S = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far publishing has come.

    Attributes:
        sent_s: Seconds of stream sent.
        num_late_frames: Pictures left out because this machine was too slow.
        num_reconnects: How many lost connections were made again.
        failure: Why the state is "reconnecting"; None otherwise.
    """

    state: State
    sent_s: float = 0.0
    num_video_frames: int = 0
    num_audio_frames: int = 0
    num_late_frames: int = 0
    num_reconnects: int = 0
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
    outage_limit_s: float = OUTAGE_LIMIT_S,
) -> Progress:
    """Send a source into a session until it ends, as live media.

    A lost connection is made again, and so is one to a replica that gives the session away. The
    source then goes on where it was, at its own pace: of a file only the frames on their way are
    lost, of a camera also what it saw meanwhile. In the session's stream the outage is a gap.

    A connection counts as lost when ICE or DTLS say so, when nothing is heard of the service for
    2 s and it denies to hold the connection, or when nothing is heard for 10 s.

    Cancelling ends it cleanly; the WHIP resource is deleted either way, and the session stays.

        >>> async def main():
        ...     async with AsyncClient("http://127.0.0.1:8000") as client:
        ...         session = await client.create_session()
        ...         with open_synthetic() as source:
        ...             return await publish(client, session.id, source, duration_s=0.5)
        >>> asyncio.run(main()).state
        'done'

    Args:
        client: Of the service that holds the session.
        session_id: Which session.
        source: From `clients.sdk.media`; not closed here.
        duration_s: Stop after so many seconds of stream; None: at the source's end.
        on_progress: Called with every change of state and a few times per second.
        backoff: When to connect again.
        outage_limit_s: Longest time from the loss of a connection to the last attempt.

    Returns:
        What was sent, in all.

    Raises:
        SourceUnavailable: The source broke, or held no frame at all.
        OmniSiftError: The service refused, could not be reached at first, or was away for too long:
            what the last attempt met.
    """
    publication = _Publication(client, session_id, source, duration_s, on_progress)
    outage = _Outage(backoff or Backoff(), outage_limit_s)
    # an error is a value here: a task group would wrap it
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(publication.follow(), name="moves")
        try:
            done = await publication.run(outage)
        finally:
            follower.cancel()
    if isinstance(done, OmniSiftError):
        raise done
    return done


class _Outage:
    """The time since a connection was lost. Knows nothing about what is tried meanwhile."""

    def __init__(self, backoff: Backoff, limit_s: float) -> None:
        self._backoff = backoff
        self._limit_s = limit_s
        self._began_s: float | None = None
        self._num_failures = 0

    def wait_s(self, failure: OmniSiftError, now_s: float, *, was_live: bool) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            failure: How the connection was lost, or the attempt failed.
            now_s: Time on any clock.
            was_live: It is a connection that was lost: the outage begins.
        """
        if was_live:
            self._began_s, self._num_failures = now_s, 0
        if self._began_s is None or not _is_worth_another(failure):
            return None  # the first answer of all is final
        self._num_failures += 1
        wait_s = self._backoff.wait_s(self._num_failures)
        if wait_s is None:
            return None
        asked_s = failure.retry_after_s if isinstance(failure, ApiError) else None
        wait_s = max(wait_s, asked_s or 0.0)
        return wait_s if now_s + wait_s - self._began_s <= self._limit_s else None


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
        self._num_connections = 0
        self._connected_s: float | None = None  # when the connection last tried was made
        self._must_move = False
        self._has_begun = asyncio.Event()

    async def run(self, outage: _Outage) -> Progress | OmniSiftError:
        """Send until the source ends, over one connection after another."""
        self.tell("connecting")
        while True:
            try:
                await self._run_once()
                return self._finish()
            except OmniSiftError as exc:
                was_live = self._connected_s is not None
                wait_s = outage.wait_s(exc, time.monotonic(), was_live=was_live)
                if wait_s is None:
                    return exc
                self.tell("reconnecting", exc)
            await asyncio.sleep(wait_s)

    async def follow(self) -> None:
        """Learn of moves from the session's events.

        A courtesy of the service: without it a loss is noticed some seconds later.
        """
        await self._has_begun.wait()
        with suppress(OmniSiftError):
            async with aclosing(self._client.events(self._session_id, replay=False)) as events:
                async for event in events:
                    if event.type == "session.moving" and event.data.get("stage") == "ingest":
                        self._must_move = True

    async def _run_once(self) -> None:
        self._connected_s = None
        servers = await self._ice_servers()
        peer = self._new_peer(self._source, self._meter, self._duration_s, servers=servers)
        try:
            async with self._offered(peer) as resource:
                self._connected_s = time.monotonic()
                self._num_connections += 1
                self._has_begun.set()
                self.tell("live")
                await peer.finished(self._tick, lambda: self._is_known(resource))
                await asyncio.sleep(LINGER_S)
        finally:
            await peer.close()

    def _tick(self) -> None:
        self.tell("live")
        must_move, self._must_move = self._must_move, False
        assert self._connected_s is not None
        if must_move and time.monotonic() - self._connected_s > MOVED_ALONG_S:
            raise ConnectionFailed("the session moves to another replica")

    def _finish(self) -> Progress:
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
            max(0, self._num_connections - 1),
            failure,
        )
        if self._on_progress is not None:
            self._on_progress(progress)
        return progress

    @asynccontextmanager
    async def _offered(self, peer: "SendingPeer") -> AsyncIterator["WhipResource"]:
        resource = await self._offer(await peer.offer())
        try:
            await peer.accept(resource.answer_sdp)
            yield resource
        finally:
            # before the peer is closed: the service then knows that this was no accident
            with suppress(OmniSiftError, TimeoutError):
                async with asyncio.timeout(HANGUP_LIMIT_S):
                    await self._client.send(whip.delete(resource))

    async def _offer(self, sdp: str) -> "WhipResource":
        try:
            async with asyncio.timeout(OFFER_LIMIT_S):
                return await self._client.send(whip.offer(self._session_id, sdp))
        except TimeoutError as exc:
            raise TimedOut(f"the offer was not answered within {OFFER_LIMIT_S:g} s") from exc

    async def _ice_servers(self) -> "tuple[IceServer, ...]":
        # on one network it goes without: what is wrong with the service, the offer will tell
        with suppress(OmniSiftError, TimeoutError):
            async with asyncio.timeout(CHECK_LIMIT_S):
                return await self._client.send(whip.ice_servers(self._session_id))
        return ()

    async def _is_known(self, resource: "WhipResource") -> bool:
        """Whether the service still holds a connection; True where it cannot say."""
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self._client.send(whip.check(resource))
        except NotFound:
            return False
        except (OmniSiftError, TimeoutError):
            return True
        return True


def _is_worth_another(failure: OmniSiftError) -> bool:
    # the service may not have noticed yet that the last connection is dead
    is_taken = isinstance(failure, Conflict) and failure.code == "already_publishing"
    return is_taken or is_outage(failure)


def _load_media() -> "tuple[type[SendingPeer], Meter]":
    try:
        from clients.sdk.media.peer import SendingPeer
        from clients.sdk.media.tracks import Meter
    except ImportError as exc:
        raise MissingDependency(
            f"publishing needs {exc.name}, which is not installed: pip install aiortc av numpy"
        ) from exc
    return SendingPeer, Meter()
