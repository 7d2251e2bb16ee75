"""A media container by PyAV: its frames in order, with times from zero. Blocking; one thread's.

FFmpeg opens nothing beyond what it is given: known container formats only (no playlists), and no
protocol but those that the caller names.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from errno import EINVAL
from functools import partial
from typing import BinaryIO, Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from service.errors import ServiceError
from service.ingest.conversion import Resampler, to_rgb
from service.ingest.source import Picture, Sound
from service.media.continuity import Continuity
from service.source_errors import MediaUnreadable, SourceDenied, SourceUnreachable

# FFmpeg's names of demuxers; none of these opens other files or hosts
FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,ogg,wav,w64,aiff,caf,mp3,aac,flac,"
    "amr,asf,ivf,h264,hevc,mpjpeg,mjpeg"
)
NO_PROTOCOL: Final = "none"
Track = VideoStream | AudioStream
MediaFrame = av.VideoFrame | av.AudioFrame

DENIALS: Final = (
    av.HTTPUnauthorizedError,
    av.HTTPForbiddenError,
    av.HTTPNotFoundError,
    av.HTTPBadRequestError,
    av.HTTPOtherClientError,
)
UNREADABLE: Final = (av.InvalidDataError, av.EOFError, av.DemuxerNotFoundError)
PACKETS_PER_READ: Final = 64
ROUNDING_S: Final = 0.001
MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """What is decoded at all.

    Attributes:
        max_frame_pixels: Larger pictures are discarded before they are decoded.
        max_duration_s: What comes later is left.
        refuses_longer: Something longer is refused instead, as early as that shows.
        probe_bytes: How much is read to find out what is in it.
        open_s: Longest time to open one.
        read_s: Longest time without another packet.
    """

    max_frame_pixels: int = 3840 * 2160
    max_duration_s: float = 86_400.0
    refuses_longer: bool = False
    probe_bytes: int = 5_000_000
    open_s: float = 10.0
    read_s: float = 10.0


class Container:
    """The first video and the first audio track that can be decoded.

    Raises:
        MediaUnreadable: There is neither.
    """

    def __init__(
        self, opened: InputContainer, limits: ContainerLimits, file: BinaryIO | None = None
    ) -> None:
        self._opened = opened
        self._file = file
        self._limits = limits
        self._continuity = Continuity()
        self._resampler = Resampler()
        self._discards: Counter[tuple[str, str]] = Counter()
        self._has_decoded = False
        self._skipped_s = 0.0
        self._read_s = 0.0
        self._is_over = False
        self._is_cut = False
        # no start time is a very negative one here
        self._start_s = max((opened.start_time or 0) / MICROSECONDS, 0.0)
        self._streams = self._choose()
        self._packets: Iterator[Packet[Stream]] = opened.demux(*self._streams)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its tracks: "video", "audio" or both."""
        return tuple(stream.type for stream in self._streams)

    @property
    def duration_s(self) -> float | None:
        """The length that it names; None where it names none."""
        return self._opened.duration / MICROSECONDS if self._opened.duration else None

    @property
    def is_endless(self) -> bool:
        """It names no length, as a live stream does."""
        return self.duration_s is None

    @property
    def read_s(self) -> float:
        """Up to where it has been read."""
        return self._read_s

    @property
    def is_over(self) -> bool:
        """All has been read."""
        return self._is_over

    @property
    def is_cut(self) -> bool:
        """It was longer than what is read of one."""
        return self._is_cut

    def skip(self, until_s: float) -> None:
        """Leave out what comes before `until_s`, from where times count then; before any `read`.

        An endless one is left as it is: what came before is gone.

        Raises:
            SourceUnreachable: What it is read from was lost.
        """
        if self.is_endless:
            return
        self._skipped_s = until_s
        self._has_decoded = True  # by whoever played it up to there
        if self._file is not None and not self._file.seekable():
            return  # it is read up to there
        try:
            self._opened.seek(round((self._start_s + until_s) * MICROSECONDS))
        except (av.FFmpegError, OSError) as error:
            raise SourceUnreachable(_reason(error)) from None
        self._continuity = Continuity(begins_s=None)
        self._packets = self._opened.demux(*self._streams)

    def read(self) -> list[Picture | Sound]:
        """The next pictures and sounds, their `at_s` from the container's beginning.

        May be empty before the end.

        Raises:
            MediaUnreadable: The end is reached and nothing could be decoded, or it is too long.
            SourceUnreachable: What it is read from was lost.
        """
        for _ in range(PACKETS_PER_READ):
            packet = self._next()
            if packet is None:
                return self._end()
            found = [item for frame in self._decode(packet) if (item := self._item(frame))]
            longest_s = self._limits.max_duration_s - self._skipped_s
            if any(item.at_s > longest_s for item in found):
                if self._limits.refuses_longer:
                    raise too_long(self._limits)
                self._is_cut = True
                return self._end()
            if found:
                self._has_decoded = True
                self._read_s = max(self._read_s, *(item.at_s for item in found))
                return found
        return []

    def take_discards(self) -> Counter[tuple[str, str]]:
        """Frames and packets that are lost since the last call, by (modality, result)."""
        discards, self._discards = self._discards, Counter()
        return discards

    def close(self) -> None:
        """Let go of it, and of the file that it is read from."""
        self._opened.close()
        if self._file is not None:
            self._file.close()

    def _choose(self) -> list[Track]:
        streams: list[Track] = []
        reasons: list[str] = []
        tracks = self._opened.streams
        for group in (tracks.video, tracks.audio):
            for stream in group:
                reason = self._refusal(stream)
                if reason is None:
                    streams.append(stream)
                    break
                reasons.append(reason)
        if not streams:
            raise MediaUnreadable("; ".join(reasons) or "it has neither video nor audio")
        for stream in streams:
            stream.codec_context.thread_count = 1  # one session must not take all cores
            stream.codec_context.options = {"max_pixels": str(self._limits.max_frame_pixels)}
        return streams

    def _refusal(self, stream: Track) -> str | None:
        """Why a track is left out; None where it is not."""
        codec = stream.codec_context
        if codec is None:
            return f"its {stream.type} is in an unknown codec: convert it to H.264 and AAC"
        if stream.disposition & Disposition.attached_pic:
            return "its only picture is a cover"
        if isinstance(stream, VideoStream) and self._is_oversized(stream):
            self._discards["video", "oversized"] += 1
            return (
                f"its pictures of {stream.width}x{stream.height} are larger than what is taken: "
                f"scale them to {self._limits.max_frame_pixels} pixels or fewer"
            )
        return None

    def _is_oversized(self, picture: VideoStream | av.VideoFrame) -> bool:
        return picture.width * picture.height > self._limits.max_frame_pixels

    def _next(self) -> "Packet[Stream] | None":
        try:
            return next(self._packets, None)
        except av.InvalidDataError:
            # what comes after damage that the demuxer cannot get over is lost
            self._discards[self.kinds[0], "undecodable"] += 1
            return None
        except (av.FFmpegError, OSError) as error:
            raise SourceUnreachable(_reason(error)) from None

    def _decode(self, packet: "Packet[Stream]") -> list[MediaFrame]:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self._discards[packet.stream.type, "undecodable"] += 1
            return []
        return [frame for frame in frames if isinstance(frame, MediaFrame)]

    def _item(self, frame: MediaFrame) -> Picture | Sound | None:
        modality = "video" if isinstance(frame, av.VideoFrame) else "audio"
        if frame.time is None or frame.is_corrupt:
            self._discards[modality, "undecodable"] += 1
            return None
        if isinstance(frame, av.VideoFrame) and self._is_oversized(frame):
            self._discards[modality, "oversized"] += 1
            return None
        at_s = self._continuity.place(frame.time - self._start_s) - self._skipped_s
        if self._skipped_s and at_s < -ROUNDING_S:
            return None
        if isinstance(frame, av.VideoFrame):
            return Picture(at_s, at_s, partial(to_rgb, frame))
        return Sound(at_s, at_s, partial(self._resampler.resample, frame))

    def _end(self) -> list[Picture | Sound]:
        self._is_over = True
        if not self._has_decoded:
            raise MediaUnreadable("nothing in it could be decoded")
        return []


def open_container(
    origin: BinaryIO | str,
    limits: ContainerLimits,
    *,
    formats: str = FORMATS,
    protocols: str = NO_PROTOCOL,
    options: Mapping[str, str] | None = None,
    made: type[Container] = Container,
) -> Container:
    """Open a container. Blocks.

    Args:
        origin: A binary file object, which is closed with it, or a URL for FFmpeg.
        limits: See there.
        formats: Demuxers that may be used, as FFmpeg names them.
        protocols: Those that FFmpeg may open itself.
        options: More options of FFmpeg's.
        made: What is made of it: a kind that reads it in its own way.

    Raises:
        MediaUnreadable: It is none of these formats, damaged, empty, or has nothing to decode.
        SourceDenied: Its server does not give it.
        SourceUnreachable: It cannot be read.
    """
    checked = {
        "format_whitelist": formats,
        "protocol_whitelist": protocols,
        "probesize": str(limits.probe_bytes),
        **(options or {}),
    }
    try:
        opened = av.open(origin, "r", options=checked, timeout=(limits.open_s, limits.read_s))
    except (av.FFmpegError, OSError) as error:
        _close(origin)
        raise _failure(error) from None  # its text holds the URL, and that a password
    except ServiceError:
        _close(origin)
        raise
    try:
        return made(opened, limits, None if isinstance(origin, str) else origin)
    except ServiceError:
        opened.close()
        _close(origin)
        raise


def too_long(limits: ContainerLimits) -> MediaUnreadable:
    """The error for what is longer than may be."""
    return MediaUnreadable(f"it is longer than {limits.max_duration_s:g} s")


def _failure(error: av.FFmpegError | OSError) -> ServiceError:
    if isinstance(error, DENIALS):
        return SourceDenied(_reason(error))
    if isinstance(error, UNREADABLE) or error.errno == EINVAL:  # an empty file is EINVAL
        return MediaUnreadable(
            "it is empty, damaged, or in no format that is read: if it plays elsewhere, "
            "convert it to MP4"
        )
    return SourceUnreachable(_reason(error))


def _reason(error: av.FFmpegError | OSError) -> str:
    """What went wrong, without the URL that FFmpeg's messages repeat."""
    return error.strerror or type(error).__name__


def _close(origin: BinaryIO | str) -> None:
    if not isinstance(origin, str):
        origin.close()


__all__ = ["Container", "ContainerLimits", "open_container", "too_long"]
