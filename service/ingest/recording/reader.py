"""Reads a recording back, by PyAV. What it reads may come from anywhere and is believed nothing.

A file is read twice: once to know that it is whole, and what the service told; then look by look.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import torch
from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from service.errors import Unprocessable
from service.ingest.queue import Begin, Gone, Item
from service.ingest.recording.journal import (
    FORMAT,
    Asked,
    Began,
    End,
    EndReason,
    Frame,
    Header,
    Line,
    Look,
    Mark,
    Told,
    parse_line,
)
from service.ingest.recording.matroska import NUMBERS, Track, first_text
from service.ingest.source import Picture, Sound

PNG_SIZE = slice(16, 24)  # width and height, in the chunk that a PNG begins with
MAX_PICTURE_PIXELS = 8192 * 8192
MAX_KEPT_BYTES = 64 << 20  # lines that are held as long as the file is open; 10 kB a chunk
TRACKS: dict[int, Track] = {number - 1: track for track, number in NUMBERS.items()}
FOREIGN = (
    "it does not begin with a journal, so no service recorded it; `omnisift upload` plays any "
    "media file"
)

Source = Path | BinaryIO
"""A file, by its name or open; one that is open is not closed."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file that is whole.

    Attributes:
        source: The file.
        header: Its first line.
        told: What the service told of its chunks, in order.
        asked: What was asked meanwhile, in order.
        end_reason: Why the recording ended.
    """

    source: Source
    header: Header
    told: Sequence[Told]
    asked: Sequence[Asked]
    end_reason: EndReason

    def looks(self) -> Iterator[tuple[Sequence[Item], float]]:
        """The arguments of every call of `Cutter.cut`, in order.

        Raises:
            Unprocessable: The media is not what the journal says.
        """
        waiting: list[tuple[Track, bytes]] = []
        for track, data in _packets(self.source):
            if track != "text":
                waiting.append((track, data))
                continue
            line = _parse(data)
            if isinstance(line, Look):
                blocks = iter(waiting)
                items = [_item(mark, blocks) for mark in line.items]
                if next(blocks, None) is not None:
                    raise damaged("media that the journal does not know")
                yield items, line.now_s
                waiting = []


def open_recording(source: Source) -> Recording:
    """Check that a file is a whole recording.

    Raises:
        OSError: It cannot be read.
        Unprocessable: It is none, was cut short, or is damaged.
    """
    crc32, num_bytes, lines = 0, 0, list[Line]()
    for track, data in _packets(source):
        if track == "text":
            line = _parse(data)
            _check_order(lines, line)
            if isinstance(line, End) and line.crc32 != crc32:
                raise damaged("its checksum is another")
            if not isinstance(line, Look):
                lines.append(line)
                num_bytes += len(data)
                if num_bytes > MAX_KEPT_BYTES:
                    raise damaged("its journal is larger than any that the service writes")
        crc32 = zlib.crc32(data, crc32)
    header, end = (lines[0], lines[-1]) if lines else (None, None)
    if not isinstance(header, Header):
        raise damaged(FOREIGN)
    if not isinstance(end, End):
        raise damaged("it was cut short: the end is missing")
    told = [line for line in lines if isinstance(line, Told)]
    asked = [line for line in lines if isinstance(line, Asked)]
    return Recording(source, header, told, asked, end.reason)


def read_header(beginning: bytes) -> Header:
    """The header of a file of which only the beginning is here.

    Raises:
        Unprocessable: It is no recording, or one of another format.
    """
    data = first_text(beginning)
    try:
        fields = None if data is None else json.loads(data)
    except ValueError:
        fields = None
    if data is None or not isinstance(fields, dict) or fields.get("type") != "header":
        raise damaged(FOREIGN)
    _check_format(fields.get("format"))
    line = _parse(data)
    assert isinstance(line, Header)
    return line


def damaged(reason: str) -> Unprocessable:
    return Unprocessable(f"this file cannot be replayed: {reason}", field="recording")


def _check_order(before: Sequence[Line], line: Line) -> None:
    if isinstance(line, Header) != (not before):
        raise damaged("its journal begins with no header, or has another")
    if isinstance(line, Header):
        _check_format(line.format)
    if before and isinstance(before[-1], End):
        raise damaged("it goes on after its end")


def _check_format(found: object) -> None:
    if found != FORMAT:
        raise damaged(f"its journal has format {found}, and this version reads {FORMAT}")


def _packets(source: Source) -> Iterator[tuple[Track, bytes]]:
    if not isinstance(source, Path):
        source.seek(0)
    file = str(source) if isinstance(source, Path) else source
    try:
        with av.open(file, "r", format="matroska") as container:
            for packet in container.demux():
                track = TRACKS.get(packet.stream_index)
                if track is not None and packet.size:
                    yield track, bytes(packet)
    except av.FFmpegError as error:
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            raise
        raise damaged(f"it is no Matroska file, or a damaged one ({error.strerror})") from error


def _parse(data: bytes) -> Line:
    try:
        return parse_line(data)
    except ValueError as error:
        raise damaged(f"its journal cannot be read: {error}") from error


def _item(mark: Mark, blocks: Iterator[tuple[Track, bytes]]) -> Item:
    match mark:
        case Began(has_video, has_audio, at_s, is_recorded, is_next):
            return Begin(has_video, has_audio, at_s, is_recorded, is_next)
        case Frame(kind, at_s, arrived_s):
            data = _block(mark, blocks)
            if kind == "video":
                return Picture(at_s, arrived_s, lambda: decode_png(_heard(mark, data)))
            return Sound(at_s, arrived_s, lambda: _samples(_heard(mark, data)))
    return Gone()


def _block(mark: Frame, blocks: Iterator[tuple[Track, bytes]]) -> bytes:
    if mark.num_bytes == 0:
        return b""
    track, data = next(blocks, ("text", b""))
    if track != mark.kind or len(data) != mark.num_bytes:
        raise damaged("media is missing")
    return data


def _heard(mark: Frame, data: bytes) -> bytes:
    if not mark.is_decodable:
        raise ValueError("it could not be converted when it was recorded either")
    return data


def _samples(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, dtype="<f4").astype(np.float32))


def decode_png(data: bytes) -> NDArray[uint8]:
    """A PNG's RGB `[H, W, 3]`.

    Raises:
        Unprocessable: It is none, or too large to be anything but an attack.
    """
    width, height = struct.unpack(">II", data[PNG_SIZE].ljust(8, b"\0"))
    if not 0 < width * height <= MAX_PICTURE_PIXELS:
        raise damaged(f"a picture of {width} x {height}")
    try:
        frames = av.CodecContext.create("png", "r").decode(av.Packet(data))
    except av.FFmpegError as error:
        raise damaged("a picture cannot be decoded") from error
    if len(frames) != 1 or not isinstance(frames[0], av.VideoFrame):
        raise damaged("a picture cannot be decoded")
    return frames[0].to_ndarray(format="rgb24").astype(uint8, copy=False)


__all__ = ["Recording", "Source", "damaged", "decode_png", "open_recording", "read_header"]
