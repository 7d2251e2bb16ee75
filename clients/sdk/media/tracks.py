"""Source frames as aiortc tracks, in time with each other. Knows nothing about signalling."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame
from av.frame import Frame

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media.source import FrameReader

# a picture this late is left out, so that the ones after it are on time; sound never is
MAX_LATE_S = 0.2
# except that at least two pictures per second are sent, however slow this machine is
MAX_SKIP_S = 0.5
# further behind than this the machine was asleep: go on from here rather than rush
MAX_BEHIND_S = 2.0


class Pace:
    """Says when a frame is due; one for all tracks of a connection, which keeps them in sync.

    Args:
        is_live: Frames come when they are due: never hold one back, never call one late.
        now: Clock, in seconds.
    """

    def __init__(self, *, is_live: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._is_live = is_live
        self._now = now
        self._origin_s: float | None = None

    def late_s(self, time_s: float) -> float:
        """Seconds by which a frame of stream time `time_s` is late; below zero it is early.

        The first frame of all is in time by definition.
        """
        if self._is_live:
            return 0.0
        now_s = self._now()
        if self._origin_s is None or now_s - self._origin_s - time_s > MAX_BEHIND_S:
            self._origin_s = now_s - time_s
        return now_s - self._origin_s - time_s


@dataclass(slots=True)
class Meter:
    """What has been sent so far, over all connections.

    Attributes:
        sent_s: Stream time up to which frames were sent.
        num_video_frames: Frames sent; so is `num_audio_frames`.
        num_late_frames: Pictures left out because this machine was too slow.
        failure: Why the source ended before its time, None if it did not.
    """

    sent_s: float = 0.0
    num_video_frames: int = 0
    num_audio_frames: int = 0
    num_late_frames: int = 0
    failure: SourceUnavailable | None = None

    def count(self, frame: Frame, time_s: float) -> None:
        end_s = time_s
        if isinstance(frame, AudioFrame):
            self.num_audio_frames += 1
            end_s += frame.samples / frame.sample_rate
        else:
            self.num_video_frames += 1
        self.sent_s = max(self.sent_s, end_s)


class SourceTrack(MediaStreamTrack):
    """A track that gives each frame when it is due.

    Args:
        kind: "video" or "audio".
        reader: Where frames come from; it outlives the track, and a next track goes on with it.
        pace: Shared by the tracks of one connection.
        meter: Counts what is given.
        until_s: Stream time at which the track ends; None: with the source.

    Attributes:
        is_over: The source has given all; aiortc also ends tracks, of connections that broke.
    """

    def __init__(
        self,
        kind: str,
        reader: FrameReader[VideoFrame] | FrameReader[AudioFrame],
        pace: Pace,
        meter: Meter,
        until_s: float | None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.is_over = False
        self._reader = reader
        self._pace = pace
        self._meter = meter
        self._until_s = until_s
        self._given_s: float | None = None

    async def recv(self) -> Frame:
        """Wait for the next frame that is due.

        Raises:
            MediaStreamError: The track has ended.
        """
        while True:
            frame = await self._read()
            time_s = frame.time or 0.0
            late_s = self._pace.late_s(time_s)
            if self._may_skip(frame, time_s, late_s):
                self._meter.num_late_frames += 1
                continue
            await asyncio.sleep(-late_s)
            self._given_s = time_s
            self._meter.count(frame, time_s)
            return frame

    async def _read(self) -> Frame:
        if self.readyState != "live":
            raise MediaStreamError
        try:
            frame = await asyncio.to_thread(self._reader.read)
        except SourceUnavailable as exc:
            self._meter.failure = exc
            frame = None
        if frame is None or self._is_past_end(frame):
            self.is_over = True
            self.stop()
            raise MediaStreamError
        return frame

    def _is_past_end(self, frame: Frame) -> bool:
        return self._until_s is not None and (frame.time or 0.0) >= self._until_s

    def _may_skip(self, frame: Frame, time_s: float, late_s: float) -> bool:
        return (
            isinstance(frame, VideoFrame)
            and late_s > MAX_LATE_S
            and self._given_s is not None
            and time_s - self._given_s < MAX_SKIP_S
        )
