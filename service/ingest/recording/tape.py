"""Writes a recording: what the cutter saw, in, and the bytes of a Matroska file, out. Synchronous.

Lossless: pictures as PNG (any size, exact RGB), sound as the float32 samples that were heard.
"""

import zlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from service.ingest.queue import Begin, Gone, Item
from service.ingest.recording.journal import (
    Began,
    End,
    EndReason,
    Frame,
    FrameKind,
    Header,
    Left,
    Line,
    Look,
    Mark,
    dump_line,
)
from service.ingest.recording.matroska import Block, cluster, head
from service.ingest.source import Picture, Sound
from service.media.frames import AUDIO_SAMPLE_RATE_HZ

PNG_OPTIONS = {"compression_level": "1", "pred": "sub"}


class Tape:
    """One recording. Every method gives the next bytes of the file; not for calls at once."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._crc32 = 0

    def begin(self) -> bytes:
        """The file's head, with the header in it."""
        app = f"omnisift-live {self._header.service}"
        lead = head(app, sample_rate_hz=AUDIO_SAMPLE_RATE_HZ)
        return lead + self.add(self._header, self._header.recorded_at_s)

    def look(self, items: Sequence[Item], now_s: float) -> bytes:
        """What `Cutter.cut` is called with. Compresses pictures: call it off the event loop."""
        blocks, marks = [], []
        for item in items:
            data, mark = _pack(item)
            marks.append(mark)
            if data and isinstance(mark, Frame):
                blocks.append(Block(mark.kind, self._since_s(mark.at_s), data))
        return self._cluster(Look(now_s, tuple(marks)), now_s, blocks)

    def add(self, line: Line, at_s: float) -> bytes:
        """A line of the journal that tells of no media."""
        return self._cluster(line, at_s, [])

    def end(self, reason: EndReason, at_s: float) -> bytes:
        """The last line."""
        return self.add(End(reason, self._crc32), at_s)

    def _cluster(self, line: Line, at_s: float, blocks: list[Block]) -> bytes:
        since_s = self._since_s(at_s)
        blocks = [*blocks, Block("text", since_s, dump_line(line))]
        for block in blocks:
            self._crc32 = zlib.crc32(block.data, self._crc32)
        return cluster(since_s, blocks)

    def _since_s(self, at_s: float) -> float:
        return at_s - self._header.recorded_at_s


def _pack(item: Item) -> tuple[bytes, Mark]:
    match item:
        case Begin(has_video, has_audio, at_s, is_recorded, is_next):
            return b"", Began(has_video, has_audio, at_s, is_recorded, is_next)
        case Gone():
            return b"", Left()
    kind: FrameKind = "video" if isinstance(item, Picture) else "audio"
    try:
        data = _data(item)
    except ValueError:
        return b"", Frame(kind, item.at_s, item.arrived_s, 0, is_decodable=False)
    return data, Frame(kind, item.at_s, item.arrived_s, len(data))


def _data(item: Picture | Sound) -> bytes:
    if isinstance(item, Picture):
        return encode_png(item.convert())
    return item.convert().numpy().astype("<f4").tobytes()


def encode_png(pixels: NDArray[uint8]) -> bytes:
    """RGB `[H, W, 3]` as a PNG."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1, 1)
    encoder.options = PNG_OPTIONS
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


__all__ = ["Tape", "encode_png"]
