"""Where a session's media comes from: the seam between publishers and everything behind them.

A WebRTC peer is one source; `Feed` is another, for replays and tests. Knows nothing about chunks.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from service.clock import Clock
from service.media.frames import AudioFrame, VideoFrame


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture whose pixels are still the codec's.

    Attributes:
        at_s: Unix time it belongs to.
        arrived_s: Unix time of its arrival.
        convert: Gives RGB `[H, W, 3]`. Takes milliseconds: call it off the event loop, and only
            for pictures that are used. Raises `ValueError` where it cannot be shown.
    """

    at_s: float
    arrived_s: float
    convert: Callable[[], NDArray[uint8]]


@dataclass(frozen=True, slots=True)
class Sound:
    """A decoded run of samples, not resampled yet.

    Attributes:
        at_s: Unix time of its first sample.
        arrived_s: Unix time of its arrival.
        convert: Gives mono 16 kHz float32 `[S]`. The conversion has a memory: call it in order,
            once. Raises `ValueError` where it cannot be heard.
    """

    at_s: float
    arrived_s: float
    convert: Callable[[], Tensor]


class MediaSink(Protocol):
    """Takes media as it comes."""

    def push(self, item: Picture | Sound) -> None:
        """Take one item; never waits, drops by its own policy."""
        ...

    def discard(self, modality: str, result: str = "undecodable") -> None:
        """Count what is not used; modality is video, audio or, of a mere packet, unknown."""
        ...


class MediaSource(Protocol):
    """A publisher: pushes its media into the sink that it was made for."""

    async def wait_gone(self) -> None:
        """Return when no more media can come."""
        ...

    async def aclose(self) -> None:
        """Stop; nothing is pushed after this returns."""
        ...


class Feed(MediaSource):
    """A source whose frames are pushed by hand; their times count from its creation."""

    def __init__(self, sink: MediaSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._began_s = clock()
        self._gone = asyncio.Event()

    def push(self, frame: VideoFrame | AudioFrame) -> None:
        """Publish a frame now. After `aclose` it goes nowhere."""
        if self._gone.is_set():
            return
        at_s, now_s = self._began_s + frame.pts_s, self._clock()
        if isinstance(frame, VideoFrame):
            pixels = frame.pixels
            self._sink.push(Picture(at_s, now_s, lambda: pixels))
        else:
            samples = frame.samples
            self._sink.push(Sound(at_s, now_s, lambda: samples))

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def aclose(self) -> None:
        self._gone.set()


__all__ = ["Feed", "MediaSink", "MediaSource", "Picture", "Sound"]
