"""A whole file as a question's media: from where, in which formats, how long. Blocking code."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from typing import Final, Literal

from service.errors import ServiceError, UrlRefused
from service.ingest.container import Container, ContainerLimits, open_container, too_long
from service.ingest.http_file import HttpFile
from service.ingest.source import Picture, Sound
from service.ingest.source_policy import SourcePolicy
from service.media.chunk import CHUNK_S
from service.media.sampler import SLOT_S, SLOTS_PER_CHUNK
from service.source_errors import MediaUnreadable, SourceUnreachable

ClipKind = Literal["video", "audio", "image"]

# FFmpeg's names of demuxers that take one picture, and open no other file
STILL_FORMATS: Final = "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe"
# to find out what it is, FFmpeg would decode a picture of any size; `Container` has a limit
UNPROBED: Final = {"codec_whitelist": "none"}
WEB: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A file that comes with a question.

    Attributes:
        origin: The file, or its URL.
        kind: What it is said to be.
    """

    origin: bytes | str = field(repr=False)
    kind: ClipKind


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """What is taken in of a file that comes with a question.

    Attributes:
        limits: What is decoded, of all files of a question; longer ones are refused, not cut.
        policy: From where one may be fetched; from nowhere by default.
        max_bytes: Of one that is fetched.
        fetch_s: How long that may take.
    """

    limits: ContainerLimits = field(
        default_factory=lambda: ContainerLimits(max_duration_s=600.0, refuses_longer=True)
    )
    policy: SourcePolicy = field(default_factory=SourcePolicy)
    max_bytes: int = 24 << 20
    fetch_s: float = 60.0


class Still(Container):
    """An image, shown for as long as a chunk is: the models are trained on whole chunks."""

    def read(self) -> list[Picture | Sound]:
        """The picture once in every slot of a chunk; raises as `Container.read` does."""
        found = super().read()[:1]
        self._is_over |= bool(found)  # more images may be appended to the file
        return [replace(found[0], at_s=slot * SLOT_S) for slot in range(SLOTS_PER_CHUNK) if found]


def open_clip(origin: bytes | str, kind: ClipKind, config: ClipConfig) -> Container:
    """Open a file that came with a question. Blocks.

    Args:
        origin: The file, or its URL.
        kind: What it is said to be.
        config: Limits.

    Raises:
        MediaUnreadable: It is not of this kind, too large, too long, or cannot be decoded.
        UrlRefused: It may not be fetched.
        SourceDenied: Its server does not give it.
        SourceUnreachable: It cannot be fetched.
    """
    file = BytesIO(origin if isinstance(origin, bytes) else fetch(origin, config))
    limits = config.limits
    if kind == "image":
        return open_container(file, limits, formats=STILL_FORMATS, options=UNPROBED, made=Still)
    container = open_container(file, limits)
    reason = _refusal(container.kinds, kind)
    is_too_long = (container.duration_s or 0.0) > limits.max_duration_s
    if reason is not None or is_too_long:
        container.close()
        raise too_long(limits) if reason is None else MediaUnreadable(reason)
    return container


class Reel:
    """The files of one question, opened one after the other; their lengths count together."""

    def __init__(self, files: Sequence[ClipFile], config: ClipConfig) -> None:
        self._files = files
        self._config = config
        self._opened: list[Container] = []

    @property
    def openers(self) -> list[Callable[[], Container]]:
        """What opens each; raises as `open_clip`, and says which of several."""
        return [partial(self._open, number) for number in range(len(self._files))]

    def _open(self, number: int) -> Container:
        num_chunks = sum(int(container.read_s // CHUNK_S) + 1 for container in self._opened)
        spent_s = CHUNK_S * num_chunks
        limits = self._config.limits
        left = replace(limits, max_duration_s=max(0.0, limits.max_duration_s - spent_s))
        file = self._files[number]
        try:
            opened = open_clip(file.origin, file.kind, replace(self._config, limits=left))
        except ServiceError as error:
            if len(self._files) > 1:
                error.message = f"file {number + 1} of {len(self._files)}: {error.message}"
                error.args = (error.message,)
            raise
        self._opened.append(opened)
        return opened


def fetch(url: str, config: ClipConfig) -> bytes:
    """Get a file from a web server, whole, so that nothing else waits for it. Blocks.

    Raises:
        MediaUnreadable: It is too large.
        UrlRefused: It may not be fetched.
        SourceDenied: Its server does not give it.
        SourceUnreachable: It cannot be reached, or does not give it in time.
    """
    if not url.lower().startswith(WEB):
        raise UrlRefused("its scheme must be http or https, or data for the file itself")
    end_s = time.monotonic() + config.fetch_s
    content = bytearray()
    with HttpFile(url, config.policy, timeout_s=config.limits.read_s) as file:
        while block := file.read():
            content += block
            if len(content) > config.max_bytes:
                raise MediaUnreadable(f"it is larger than {config.max_bytes} bytes")
            if time.monotonic() > end_s:
                raise SourceUnreachable(f"it did not come within {config.fetch_s:g} s")
    return bytes(content)


def _refusal(kinds: Sequence[str], kind: ClipKind) -> str | None:
    if kind == "video" and "video" not in kinds:
        return "it has no pictures; send sound as input_audio"
    if kind == "audio" and "video" in kinds:
        return "it has pictures; send it as video_url"
    return None


__all__ = ["ClipConfig", "ClipFile", "ClipKind", "Reel", "fetch", "open_clip"]
