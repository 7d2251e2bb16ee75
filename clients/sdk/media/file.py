"""A media file as a source. Knows nothing about sending; whoever reads the frames sets the pace.

Each track has a decoder of its own, so that neither has to be buffered while the other is read.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av import AudioFrame, VideoFrame
from av.container import InputContainer
from av.stream import Disposition, Stream

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media.framing import AudioFramer, VideoFitter, VideoLimits
from clients.sdk.media.source import FrameReader, Source

Kind = Literal["video", "audio"]
_MICROSECONDS = 1_000_000  # av.time_base: container times


@dataclass(frozen=True, slots=True)
class _Span:
    """Where the file's time line begins, and its length (None: unknown), in seconds."""

    start_s: float
    length_s: float | None


def open_file(path: str | Path, *, loop: bool = False, limits: VideoLimits | None = None) -> Source:
    """Open a media file, in any container and codec that FFmpeg reads.

    Args:
        path: The file.
        loop: Begin again at the end, for ever; both tracks repeat with the file's length.
        limits: Size and rate of the video that is sent.

    Raises:
        SourceUnavailable: It cannot be read, has neither video nor audio, or cannot be repeated.
    """
    with _container(path) as container:
        kinds = {kind for kind in ("video", "audio") if _find(container, kind) is not None}
        span = _span(container)
    if not kinds:
        raise SourceUnavailable(f"{path} has neither video nor audio")
    if loop and not span.length_s:
        raise SourceUnavailable(f"{path} cannot be repeated: its length is unknown")
    offsets = _Passes(span.length_s if loop else None)
    video = _video(path, span, offsets, limits or VideoLimits()) if "video" in kinds else None
    audio = _audio(path, span, offsets) if "audio" in kinds else None
    return Source(
        str(path),
        None if video is None else FrameReader(video),
        None if audio is None else FrameReader(audio),
    )


@dataclass(frozen=True, slots=True)
class _Passes:
    """Start times of the passes over a file; one pass when it is not repeated."""

    length_s: float | None

    def __iter__(self) -> Iterator[float]:
        offset_s = 0.0
        yield offset_s
        while self.length_s is not None:
            offset_s += self.length_s
            yield offset_s


def _video(
    path: str | Path, span: _Span, passes: _Passes, limits: VideoLimits
) -> Generator[VideoFrame, None, None]:
    fitter = VideoFitter(limits)
    for offset_s in passes:
        is_empty = True
        for frame in _decode(path, "video"):
            is_empty = False
            if not isinstance(frame, VideoFrame) or frame.pts is None:
                continue
            time_s = frame.time - span.start_s
            fitted = fitter.fit(frame, offset_s + time_s) if time_s >= 0 else None
            if fitted is not None:
                yield fitted
        if is_empty:
            return


def _audio(path: str | Path, span: _Span, passes: _Passes) -> Generator[AudioFrame, None, None]:
    framer = AudioFramer()
    for offset_s in passes:
        is_empty = True
        time_s = 0.0
        for frame in _decode(path, "audio"):
            is_empty = False
            if not isinstance(frame, AudioFrame):
                continue
            time_s = time_s if frame.time is None else frame.time - span.start_s
            length_s = frame.samples / frame.sample_rate
            yield from framer.push(frame, offset_s + time_s)
            time_s += length_s
        if is_empty:
            break
    yield from framer.flush()


def _decode(path: str | Path, kind: Kind) -> Iterator[object]:
    with _container(path) as container:
        stream = _find(container, kind)
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                # a damaged packet: what follows may be whole
                continue


@contextmanager
def _container(path: str | Path) -> Iterator[InputContainer]:
    try:
        with av.open(str(path), mode="r") as container:
            yield container
    except (av.FFmpegError, OSError) as exc:
        raise SourceUnavailable(f"{path} cannot be read: {_reason(exc, path)}") from exc


def _find(container: InputContainer, kind: Kind) -> Stream | None:
    streams = container.streams.video if kind == "video" else container.streams.audio
    for stream in streams:
        # the cover of a music file is a video stream of one picture
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def _span(container: InputContainer) -> _Span:
    # no start time is a very negative one here
    start_s = (container.start_time or 0) / _MICROSECONDS
    length_s = None if container.duration is None else container.duration / _MICROSECONDS
    return _Span(max(start_s, 0.0), length_s)


def _reason(exc: Exception, path: str | Path) -> str:
    reason = str(getattr(exc, "strerror", None) or exc)
    if isinstance(exc, PermissionError):
        return f"{reason} (its mode, or that of a folder above: ls -l)"
    if not isinstance(exc, av.error.InvalidDataError):
        return reason
    is_empty = Path(path).is_file() and not Path(path).stat().st_size
    return "it is empty" if is_empty else f"it is damaged, or no media file ({reason})"
