"""Just enough of Matroska (RFC 9559) to write a live recording, and to see who wrote one. Pure.

PyAV, which reads these files, takes no PNG into Matroska and holds packets back to interleave them;
here every call gives its bytes at once, and pictures may change their size.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Track = Literal["video", "audio", "text"]

NUMBERS: Final[dict[Track, int]] = {"video": 1, "audio": 2, "text": 3}
TYPES: Final[dict[Track, int]] = {"video": 0x01, "audio": 0x02, "text": 0x11}
TICKS_PER_S: Final = 1000
MAX_OFFSET: Final = (1 << 15) - 1  # ticks between a block and its cluster
SEGMENT: Final = 0x18538067
CLUSTER: Final = 0x1F43B675
SIMPLE_BLOCK: Final = 0xA3
BLOCK_HEAD_BYTES: Final = 4  # track, two of time, flags
MAX_ELEMENTS: Final = 16  # of ours, the seventh is the first block
UNKNOWN_SIZE: Final = b"\x01" + b"\xff" * 7
NOMINAL_SIZE: Final = (640, 480)  # every PNG knows its own


@dataclass(frozen=True, slots=True)
class Block:
    """One packet of a track, at seconds since the recording's begin."""

    track: Track
    at_s: float
    data: bytes


def head(app: str, *, sample_rate_hz: int) -> bytes:
    """What comes before the first cluster: tracks of PNG, of mono float32 PCM and of UTF-8 text."""
    width, height = NOMINAL_SIZE
    ebml = _uint("4286", 1) + _uint("42F7", 1) + _uint("42F2", 4) + _uint("42F3", 8)
    ebml += _element("4282", b"matroska") + _uint("4287", 4) + _uint("4285", 2)
    info = _uint("2AD7B1", 1_000_000_000 // TICKS_PER_S)
    info += _element("4D80", app.encode()) + _element("5741", app.encode())
    picture = _element("E0", _uint("B0", width) + _uint("BA", height))
    sound = _element("B5", struct.pack(">d", sample_rate_hz)) + _uint("9F", 1) + _uint("6264", 32)
    tracks = _track("video", "V_MS/VFW/FOURCC", _element("63A2", _bitmap_header()) + picture)
    tracks += _track("audio", "A_PCM/FLOAT/IEEE", _element("E1", sound))
    tracks += _track("text", "S_TEXT/UTF8", b"")
    segment = bytes.fromhex("18538067") + UNKNOWN_SIZE  # live: its end is the file's
    return (
        _element("1A45DFA3", ebml)
        + segment
        + _element("1549A966", info)
        + _element("1654AE6B", tracks)
    )


def cluster(at_s: float, blocks: Sequence[Block]) -> bytes:
    """Blocks of about the same time, in their order."""
    ticks = max(0, round(at_s * TICKS_PER_S))
    return _element("1F43B675", _uint("E7", ticks) + b"".join(_block(ticks, b) for b in blocks))


def first_text(data: bytes) -> bytes | None:
    """What the first block holds, from a file's beginning; None unless it is whole, and text."""
    position = 0
    for _ in range(MAX_ELEMENTS):
        element_id, position = _number(data, position, keeps_marker=True)
        size, position = _number(data, position)
        if element_id == 0 or position > len(data):
            return None
        if element_id == SIMPLE_BLOCK:
            block = data[position : position + size]
            is_text = len(block) == size and block[:1] == bytes([0x80 | NUMBERS["text"]])
            return block[BLOCK_HEAD_BYTES:] if is_text else None
        if element_id not in (SEGMENT, CLUSTER):  # those are entered
            position += size
    return None


def _number(data: bytes, position: int, *, keeps_marker: bool = False) -> tuple[int, int]:
    """A number of variable length (RFC 8794, section 4) and where it ends; 0 where there is none.

    Args:
        data: The file's beginning.
        position: Where the number begins.
        keeps_marker: Leave the bit that tells the length, as ids do.
    """
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8:
        return 0, len(data) + 1
    value = int.from_bytes(data[position : position + length], "big")
    return value if keeps_marker else value ^ (1 << 7 * length), position + length


def _block(cluster_ticks: int, block: Block) -> bytes:
    offset = round(block.at_s * TICKS_PER_S) - cluster_ticks
    offset = max(-min(cluster_ticks, MAX_OFFSET), min(offset, MAX_OFFSET))
    header = struct.pack(">BhB", 0x80 | NUMBERS[block.track], offset, 0x80)  # 0x80: a key frame
    return _element("A3", header + block.data)


def _track(track: Track, codec: str, more: bytes) -> bytes:
    number = NUMBERS[track]
    fields = _uint("D7", number) + _uint("73C5", number) + _uint("83", TYPES[track])
    return _element("AE", fields + _uint("9C", 0) + _element("86", codec.encode()) + more)


def _bitmap_header() -> bytes:
    """BITMAPINFOHEADER, by which a Windows codec is named: PNG has no name of Matroska's own."""
    width, height = NOMINAL_SIZE
    return struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MPNG", 0, 0, 0, 0, 0)


def _uint(element_id: str, value: int) -> bytes:
    return _element(element_id, value.to_bytes(max(1, -(-value.bit_length() // 8)), "big"))


def _element(element_id: str, payload: bytes) -> bytes:
    return bytes.fromhex(element_id) + (1 << 56 | len(payload)).to_bytes(8, "big") + payload


__all__ = ["TICKS_PER_S", "Block", "Track", "cluster", "first_text", "head"]
