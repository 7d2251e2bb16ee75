"""A whole file as a question's media: in which formats, and how long. Blocking; one thread's."""

from collections.abc import Sequence
from io import BytesIO
from typing import Final, Literal

from service.ingest.container import (
    FORMATS,
    Container,
    ContainerLimits,
    open_container,
    too_long,
)
from service.source_errors import MediaUnreadable

ClipKind = Literal["video", "audio", "image"]

# FFmpeg's names of demuxers that take one picture, and open no other file
STILL_FORMATS: Final = "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe"
# to find out what it is, FFmpeg would decode a picture of any size; `Container` has a limit
UNPROBED: Final = {"codec_whitelist": "none"}


def open_clip(content: bytes, kind: ClipKind, limits: ContainerLimits) -> Container:
    """Open a file that came with a question. Blocks.

    Args:
        content: The file.
        kind: What it is said to be. An image is one picture at stream time zero.
        limits: See there; a longer file is refused, not cut.

    Raises:
        MediaUnreadable: It is not of this kind, too long, or nothing in it can be decoded.
    """
    formats, options = (STILL_FORMATS, UNPROBED) if kind == "image" else (FORMATS, None)
    container = open_container(BytesIO(content), limits, formats=formats, options=options)
    reason = _refusal(container.kinds, kind)
    is_too_long = (container.duration_s or 0.0) > limits.max_duration_s
    if reason is not None or is_too_long:
        container.close()
        raise too_long(limits) if reason is None else MediaUnreadable(reason)
    return container


def _refusal(kinds: Sequence[str], kind: ClipKind) -> str | None:
    if kind == "video" and "video" not in kinds:
        return "it has no pictures; send sound as input_audio"
    if kind == "audio" and "video" in kinds:
        return "it has pictures; send it as video_url"
    return None


__all__ = ["ClipKind", "open_clip"]
