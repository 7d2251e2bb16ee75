"""Image files: of one colour, and one that is far larger than it looks."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def make_still(
    colour: tuple[int, int, int],
    *,
    size: tuple[int, int] = (112, 112),
    image_format: str = "PNG",
) -> bytes:
    """An image of one colour; `size` is its width and height."""
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, image_format)
    return buffer.getvalue()


def make_bomb(width: int, height: int) -> bytes:
    """A PNG of nothing: four megabytes that are one gigabyte once it is decoded."""
    packer = zlib.compressobj(1)
    row = bytes(1 + 4 * width)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = [_part(b"IHDR", header), _part(b"IDAT", rows), _part(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
