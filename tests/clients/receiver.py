"""A real WebRTC peer that receives what a publisher sends and notes every frame."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame


@dataclass(frozen=True, slots=True)
class Received:
    """One frame: when it came (monotonic), its own time, and for video its mean colour and size."""

    arrival_s: float
    pts_s: float
    colour: tuple[float, float, float] = (0, 0, 0)
    size: tuple[int, int] = (0, 0)
    peak_hz: float = 0.0


@dataclass
class Receiver:
    """Answers one offer; `frames` grows by kind while media arrives."""

    frames: dict[str, list[Received]] = field(default_factory=lambda: {"video": [], "audio": []})
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._peer = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False

    async def answer(self, offer_sdp: str) -> str:
        self._peer.on("track", self._on_track)
        self._peer.on("connectionstatechange", lambda: self.states.append(self.state))
        await self._peer.setRemoteDescription(RTCSessionDescription(offer_sdp, "offer"))
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        return self._peer.localDescription.sdp

    @property
    def state(self) -> str:
        return self._peer.connectionState

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def fall_silent(self) -> None:
        """Send no more reports; the connection stays."""
        for transceiver in self._peer.getTransceivers():
            # aiortc has no switch for this
            transceiver.receiver._RTCRtpReceiver__rtcp_task.cancel()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._drain(track)))

    async def _drain(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.frames[track.kind].append(_note(frame, time.monotonic()))


def _note(frame: object, now_s: float) -> Received:
    if isinstance(frame, VideoFrame):
        red, green, blue = (float(c) for c in frame.to_ndarray(format="rgb24").mean(axis=(0, 1)))
        return Received(now_s, frame.time, (red, green, blue), (frame.width, frame.height))
    assert isinstance(frame, AudioFrame)
    return Received(now_s, frame.time or 0.0, peak_hz=_peak_hz(frame.to_ndarray(), 48_000))


def _peak_hz(samples: npt.NDArray[Any], rate_hz: int) -> float:
    mono = samples.reshape(-1, 2).mean(axis=1)
    if np.abs(mono).max() < 100:
        return 0.0
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), n=4 * len(mono)))
    return float(spectrum.argmax() * rate_hz / (4 * len(mono)))
