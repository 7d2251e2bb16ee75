"""A source of media: up to one video and one audio track. Knows nothing about where they come from.

Frames are PyAV's, video as yuv420p and sound as 20 ms of mono 48 kHz s16. `frame.time` counts from
the source's start on one time line for both tracks and never goes back.
"""

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from av import AudioFrame, VideoFrame
from av.frame import Frame

F = TypeVar("F", bound=Frame)


class FrameReader(Generic[F]):
    """One track, pulled frame by frame from any thread, one at a time."""

    def __init__(
        self, frames: Generator[F, None, None], *, release: Callable[[], None] | None = None
    ) -> None:
        self._frames = frames
        self._release = release
        self._lock = threading.Lock()

    def read(self) -> F | None:
        """Block until there is a frame; None at the end.

        Raises:
            SourceUnavailable: The source broke.
        """
        with self._lock:
            return next(self._frames, None)

    def close(self) -> None:
        """Wait for a read in progress, then free the track's file or device."""
        with self._lock:
            self._frames.close()
            if self._release is not None:
                self._release()


@dataclass(frozen=True, slots=True)
class Source:
    """What to publish. Close it, or use it in a `with`.

    Attributes:
        name: For messages.
        is_live: Frames come at their own pace and must not be held back.
    """

    name: str
    video: FrameReader[VideoFrame] | None
    audio: FrameReader[AudioFrame] | None
    is_live: bool = False

    def close(self) -> None:
        for reader in (self.video, self.audio):
            if reader is not None:
                reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
