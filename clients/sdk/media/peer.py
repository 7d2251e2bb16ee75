"""The sending end of one WebRTC connection, by aiortc. Knows nothing about HTTP or retries."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError

from clients.sdk.errors import ConnectionFailed, MalformedAnswer
from clients.sdk.media.pulse import Pulse
from clients.sdk.media.source import Source
from clients.sdk.media.tracks import Meter, Pace, SourceTrack
from clients.sdk.whip import IceServer

CONNECT_LIMIT_S = 15.0
POLL_S = 0.25


class SendingPeer:
    """Sends a source's frames once its offer is answered. Close it.

    Args:
        source: Where frames come from; not closed here.
        meter: Counts what is sent.
        until_s: Stream time at which to end; None: with the source.
        servers: STUN and TURN servers for when there is no direct way.
        now: Clock, in seconds.
    """

    def __init__(
        self,
        source: Source,
        meter: Meter,
        until_s: float | None,
        *,
        servers: Sequence[IceServer] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        # an empty list: None means a public STUN server
        self._connection = RTCPeerConnection(
            RTCConfiguration(
                iceServers=rtc_servers(servers), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
            )
        )
        pace = Pace(is_live=source.is_live, now=now)
        self._tracks: list[SourceTrack] = []
        if source.video is not None:
            self._add(SourceTrack("video", source.video, pace, meter, until_s))
        if source.audio is not None:
            self._add(SourceTrack("audio", source.audio, pace, meter, until_s))

    async def offer(self) -> str:
        """SDP of the offer, with all candidates."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def accept(self, answer_sdp: str) -> None:
        """Take the answer and connect.

        Raises:
            MalformedAnswer: It does not answer the offer.
            ConnectionFailed: No media path was found.
        """
        try:
            answer = RTCSessionDescription(sdp=answer_sdp, type="answer")
            await self._connection.setRemoteDescription(answer)
        except (ValueError, InvalidAccessError, InvalidStateError) as exc:
            raise MalformedAnswer(f"the service's SDP answer cannot be used: {exc}") from exc
        deadline_s = self._now() + CONNECT_LIMIT_S
        while self._connection.connectionState != "connected":
            if self._connection.connectionState in ("failed", "closed"):
                raise ConnectionFailed("no media path to the service: is UDP blocked on the way ?")
            if self._now() > deadline_s:
                raise ConnectionFailed(f"no media path after {CONNECT_LIMIT_S:g} s")
            await asyncio.sleep(0.02)

    async def finished(
        self,
        on_tick: Callable[[], object],
        is_known: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Wait until every track has ended.

        Args:
            on_tick: Called meanwhile; what it raises ends the wait.
            is_known: Asked when nothing is heard of the service: False where it holds no such
                connection (any more), True where it does or cannot be asked. None: nobody is asked.

        Raises:
            ConnectionFailed: The connection was lost before.
        """
        pulse = Pulse(self._now())
        while not all(track.is_over for track in self._tracks):
            await asyncio.sleep(POLL_S)
            on_tick()
            pulse.hear(await self._last_report(), self._now())
            if pulse.is_dead(self._now()) or self._connection.connectionState != "connected":
                raise ConnectionFailed("the media connection to the service was lost")
            if is_known and pulse.is_suspect(self._now()) and not await is_known():
                raise ConnectionFailed("the service no longer holds the media connection")

    async def close(self) -> None:
        await self._connection.close()

    def _add(self, track: SourceTrack) -> None:
        self._tracks.append(track)
        self._connection.addTransceiver(track, direction="sendonly")

    async def _last_report(self) -> datetime | None:
        stats = await self._connection.getStats()
        times = [item.timestamp for item in stats.values() if item.type == "remote-inbound-rtp"]
        return max(times, default=None)


def rtc_servers(servers: Sequence[IceServer]) -> list[RTCIceServer]:
    """The same for aiortc, which uses the first STUN and the first TURN server that it can."""
    return [RTCIceServer(one.url, one.username, one.credential) for one in servers]
