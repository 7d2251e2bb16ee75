"""A media file as a request's body, in blocks. Knows nothing about httpx."""

import asyncio
import mimetypes
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clients.sdk.errors import SourceUnavailable

BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that is open.

    Attributes:
        content_type: Guessed by its name.
        size: In bytes.
    """

    file: BinaryIO
    content_type: str
    size: int

    def blocks(self) -> Iterator[bytes]:
        """The content, to its end."""
        while block := self.file.read(BLOCK_BYTES):
            yield block

    async def ablocks(self) -> AsyncIterator[bytes]:
        """The same; the file is read on another thread."""
        while block := await asyncio.to_thread(self.file.read, BLOCK_BYTES):
            yield block


@contextmanager
def open_media_file(path: str | Path) -> Iterator[MediaFile]:
    """Open a file to send it.

    Raises:
        SourceUnavailable: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            kind = mimetypes.guess_type(str(path))[0] or ""
            content_type = kind if kind.startswith(("video/", "audio/")) else ""
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise SourceUnavailable(f"{path} cannot be read: it is empty")
            yield MediaFile(file, content_type or "application/octet-stream", size)
    except OSError as exc:
        raise SourceUnavailable(f"{path} cannot be read: {exc.strerror}") from exc


__all__ = ["MediaFile", "open_media_file"]
