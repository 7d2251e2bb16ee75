"""A publisher over WebRTC: synthetic camera and microphone, paced in real time."""

import asyncio
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

VIDEO_CLOCK_HZ = 90_000
AUDIO_RATE_HZ = 48_000
AUDIO_FRAME_S = 0.02
TONE_HZ = 440.0


class Paced(MediaStreamTrack):
    """A track whose frame n is due n periods after the first was asked for."""

    period_s: float

    def __init__(self) -> None:
        super().__init__()
        self._number = -1
        self._began_s = 0.0

    async def next_number(self) -> int:
        loop = asyncio.get_running_loop()
        if self._number < 0:
            self._began_s = loop.time()
        self._number += 1
        await asyncio.sleep(self._began_s + self._number * self.period_s - loop.time())
        return self._number


class Camera(Paced):
    """Grey pictures; the grey grows with time, and so does the size where `sizes` has more."""

    kind = "video"

    def __init__(self, *, fps: float = 15.0, sizes: tuple[tuple[int, int], ...] = ((96, 128),)):
        super().__init__()
        self.period_s = 1 / fps
        self._sizes = sizes

    async def recv(self) -> av.VideoFrame:
        number = await self.next_number()
        height, width = self._sizes[min(number // 8, len(self._sizes) - 1)]
        pixels = np.full((height, width, 3), min(40 + 4 * number, 250), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = round(number * self.period_s * VIDEO_CLOCK_HZ)
        frame.time_base = Fraction(1, VIDEO_CLOCK_HZ)
        return frame


class Microphone(Paced):
    """A loud tone of 440 Hz."""

    kind = "audio"
    period_s = AUDIO_FRAME_S

    async def recv(self) -> av.AudioFrame:
        number = await self.next_number()
        size = round(AUDIO_FRAME_S * AUDIO_RATE_HZ)
        times_s = (number * size + np.arange(size)) / AUDIO_RATE_HZ
        samples = (20_000 * np.sin(2 * np.pi * TONE_HZ * times_s)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.repeat(2)[None], format="s16", layout="stereo")
        frame.sample_rate = AUDIO_RATE_HZ
        frame.pts = number * size
        frame.time_base = Fraction(1, AUDIO_RATE_HZ)
        return frame


class BrokenCamera(Paced):
    """VP8 packets that no decoder takes, between none that it does."""

    kind = "video"
    period_s = 0.05

    async def recv(self) -> av.Packet:  # type: ignore[override]  # aiortc sends packets as they are
        number = await self.next_number()
        packet = av.Packet(b"\xff" * 50)
        packet.pts = round(number * self.period_s * VIDEO_CLOCK_HZ)
        packet.time_base = Fraction(1, VIDEO_CLOCK_HZ)
        return packet


class Publisher:
    """What a WHIP client does, without HTTP."""

    def __init__(
        self,
        *tracks: MediaStreamTrack,
        video_codec: str | None = None,
        direction: str = "sendonly",
        ice_servers: Sequence[RTCIceServer] = (),
        ice_policy: RTCIceTransportPolicy = RTCIceTransportPolicy.ALL,
    ) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(list(ice_servers), ice_policy))
        for track in tracks:
            transceiver = self.connection.addTransceiver(track, direction=direction)
            if video_codec and track.kind == "video":
                known = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences(
                    [codec for codec in known if codec.mimeType == f"video/{video_codec}"]
                )

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, answer_sdp: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))

    async def publish(self, answer: Callable[[str], object]) -> object:
        """Offer, let `answer` answer, connect; returns what it answered."""
        given = await answer(await self.offer())  # type: ignore[misc]  # a coroutine function
        await self.accept(getattr(given, "sdp", given))
        return given

    async def aclose(self) -> None:
        await self.connection.close()


def split_candidates(offer_sdp: str) -> tuple[str, str]:
    """The offer without its candidates, and the fragment that trickles them."""
    lines = offer_sdp.splitlines()
    is_trickled = [line.startswith(("a=candidate:", "a=end-of-candidates")) for line in lines]
    bare = [line for line, trickled in zip(lines, is_trickled, strict=True) if not trickled]
    first = next(line for line in lines if line.startswith("m="))
    ufrag = next(line for line in lines if line.startswith("a=ice-ufrag"))
    mid = next(line for line in lines if line.startswith("a=mid"))
    section = lines[lines.index(first) :]
    stop = next((n for n, line in enumerate(section) if n and line.startswith("m=")), len(section))
    candidates = [line for line in section[:stop] if line.startswith("a=candidate:")]
    fragment = [ufrag, first, mid, *candidates, "a=end-of-candidates"]
    return "\r\n".join(bare) + "\r\n", "\r\n".join(fragment) + "\r\n"
