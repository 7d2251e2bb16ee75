"""One WebRTC publisher, by aiortc, which is imported nowhere else. Knows nothing about sessions.

aiortc queues decoded frames without bound and counts every track's time from its own first packet:
each accepted track is therefore drained by a task of its own, which does nothing slow, and placed
on a common clock by arrival.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCCertificate,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from av.frame import Frame

from service.clock import Clock
from service.errors import OfferRejected
from service.ingest.conversion import Resampler, to_rgb
from service.ingest.keyframes import withhold_broken
from service.ingest.sdp import BitrateHint, Candidate, Offer, hint_bitrate
from service.ingest.shield import shield_decoder, shield_transport
from service.ingest.source import MediaSink, MediaSource, Picture, Sound
from service.media.timeline import Placed, Timeline, TimelineConfig
from service.tasks import TaskSet, detached

logger = logging.getLogger(__name__)

CODECS = {"audio": ("audio/opus",), "video": ("video/vp8", "video/h264", "video/rtx")}
RTP_TIMESTAMPS = 1 << 32  # RFC 3550, section 5.1
CLOCK_RATES_HZ = {"audio": 48_000, "video": 90_000}  # RFC 7587 section 4.1, RFC 6184 section 8.2.1
# what aiortc speaks, and the same for publishers whose certificates are RSA, as GStreamer's
CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (key, rest)
    for key in (b"ECDSA", b"RSA")
    for rest in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
)
DECODE_LOGGER, DECODE_FAILURE = "aiortc.rtcrtpreceiver", "failed to decode"


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """How to connect.

    Attributes:
        ice_servers: STUN and TURN URLs that the server itself uses; none where it has an address
            that publishers can reach.
        bitrate: What a browser's encoder is told.
        answer_s: Longest time to gather candidates.
        max_frame_pixels: Larger pictures are discarded before anything is done with them.
        max_frame_side: Likewise those with a longer side.
    """

    ice_servers: Sequence[str] = ()
    bitrate: BitrateHint = field(default_factory=BitrateHint)
    answer_s: float = 10.0
    max_frame_pixels: int = 3840 * 2160
    max_frame_side: int = 8192


class Peer(MediaSource):
    """Receives what one publisher sends and pushes it into a sink."""

    def __init__(self, sink: MediaSink, clock: Clock, config: PeerConfig) -> None:
        self._sink = sink
        self._clock = clock
        self._config = config
        self._tasks = TaskSet()
        self._gone = asyncio.Event()
        # NOTE: no list at all would mean a public STUN server
        servers = [RTCIceServer(url) for url in config.ice_servers]
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        # NOTE: it has no argument for a certificate, which is what decides about ciphers
        certificates = [_Certificate.generateCertificate()]
        self._connection._RTCPeerConnection__certificates = certificates  # type: ignore[attr-defined]  # private
        self._connection.on("track", self._on_track)
        self._connection.on("connectionstatechange", self._on_state)

    @property
    def state(self) -> str:
        """As WebRTC names it: new, connecting, connected, failed or closed."""
        return str(self._connection.connectionState)

    async def answer(self, offer: Offer) -> str:
        """The answer to an offer, all candidates included. Call it once.

        Raises:
            OfferRejected: The library cannot make sense of it.
        """
        try:
            return await detached(self._negotiate(offer))
        except TimeoutError as error:
            raise OfferRejected("no candidates could be gathered in time") from error
        # NOTE: on text that it does not expect aiortc raises whatever its parser stumbled over
        except Exception as error:
            raise OfferRejected(f"it cannot be read ({error!r})") from error

    async def add_candidates(self, candidates: Sequence[Candidate], *, is_last: bool) -> None:
        """Add addresses of the publisher; those that cannot be used are left out (RFC 9725)."""
        for candidate in candidates:
            try:
                parsed = candidate_from_sdp(candidate.value)
                parsed.sdpMid = candidate.mid
                parsed.sdpMLineIndex = None if candidate.mid else 0
                await self._connection.addIceCandidate(parsed)
            except (ValueError, AssertionError, OSError) as error:
                logger.debug("candidate %s left out: %s", candidate.value, error)
        if is_last:
            await self._connection.addIceCandidate(None)

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def aclose(self) -> None:
        await self._tasks.aclose()
        await detached(self._connection.close())
        self._gone.set()

    async def _negotiate(self, offer: Offer) -> str:
        connection = self._connection
        # NOTE: the first transceiver's transport is that of all, so it must be the bundle's first
        for kind in offer.kinds:
            transceiver = connection.addTransceiver(kind, direction="recvonly")
            # NOTE: set after the remote description, preferences are silently ignored
            transceiver.setCodecPreferences(_codecs(kind))
            shield_decoder(transceiver.receiver, partial(self._sink.discard, kind))
            if kind == "video":
                withhold_broken(transceiver.receiver, partial(self._sink.discard, kind))
        leave_out = partial(self._sink.discard, "unknown", "unreadable")
        for transport in {one.receiver.transport for one in connection.getTransceivers()}:
            shield_transport(transport, leave_out)
        async with asyncio.timeout(self._config.answer_s):
            await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        return hint_bitrate(connection.localDescription.sdp, self._config.bitrate)

    def _on_track(self, track: MediaStreamTrack) -> None:
        drain = self._drain_video if track.kind == "video" else self._drain_audio
        self._tasks.spawn(drain(track), name=f"drain {track.kind}")

    def _on_state(self) -> None:
        logger.debug("peer is %s", self.state)
        if self.state in ("failed", "closed"):
            self._gone.set()

    async def _drain_video(self, track: MediaStreamTrack) -> None:
        async for placed in self._frames(track):
            assert isinstance(placed.item, av.VideoFrame)
            convert = partial(to_rgb, placed.item)
            self._sink.push(Picture(placed.at_s, placed.arrived_s, convert))

    async def _drain_audio(self, track: MediaStreamTrack) -> None:
        resampler = Resampler()
        async for placed in self._frames(track):
            assert isinstance(placed.item, av.AudioFrame)
            convert = partial(resampler.resample, placed.item)
            self._sink.push(Sound(placed.at_s, placed.arrived_s, convert))

    async def _frames(self, track: MediaStreamTrack) -> AsyncIterator[Placed[Frame]]:
        """The track's frames with their Unix times, until it ends."""
        # aiortc unwraps these times, but takes every step back for a wrap
        wrap_s = RTP_TIMESTAMPS / CLOCK_RATES_HZ[track.kind]
        timeline = Timeline[Frame](TimelineConfig(wrap_s=wrap_s))
        is_live = True
        while is_live:
            known: list[Placed[Frame]] = []
            try:
                async with asyncio.timeout(timeline.patience_s):
                    known = self._placed(await track.recv(), timeline, track.kind)
            except (TimeoutError, MediaStreamError) as error:
                is_live = isinstance(error, TimeoutError)
                known = timeline.settle()
            for placed in known:
                yield placed

    def _placed(self, frame: object, timeline: Timeline[Frame], kind: str) -> list[Placed[Frame]]:
        assert isinstance(frame, Frame)
        if frame.pts is None or frame.time_base is None or frame.is_corrupt:
            self._sink.discard(kind)
            return []
        if isinstance(frame, av.VideoFrame) and self._is_oversized(frame):
            self._sink.discard(kind, "oversized")
            return []
        return timeline.add(float(frame.pts * frame.time_base), self._clock(), frame)

    def _is_oversized(self, frame: av.VideoFrame) -> bool:
        is_long = max(frame.width, frame.height) > self._config.max_frame_side
        return is_long or frame.width * frame.height > self._config.max_frame_pixels


class _Certificate(RTCCertificate):
    """Our certificate, and the ciphers for publishers with theirs, which decide about them."""

    def _create_ssl_context(self, srtp_profiles: Any) -> Any:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


class DecodeFailures(logging.Handler):
    """Counts frames that aiortc gave up, of all peers of this process: it only logs them.

    Args:
        count: Called with "audio" or "video", on the decoder's thread.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._count = count

    def open(self) -> None:
        """Begin to count."""
        logging.getLogger(DECODE_LOGGER).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if DECODE_FAILURE in str(record.msg) and isinstance(record.args, tuple):
            self._count(str(record.args[0]))

    def close(self) -> None:
        logging.getLogger(DECODE_LOGGER).removeHandler(self)
        super().close()


def _codecs(kind: str) -> list[RTCRtpCodecCapability]:
    known = RTCRtpReceiver.getCapabilities(kind)
    assert known is not None
    return [codec for codec in known.codecs if codec.mimeType.lower() in CODECS[kind]]


__all__ = ["DecodeFailures", "Peer", "PeerConfig"]
