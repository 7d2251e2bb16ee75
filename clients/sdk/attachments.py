"""Files that come with a question, as parts of a message in OpenAI's shape."""

import base64
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from clients.sdk.errors import SourceUnavailable

Kind = Literal["video", "audio", "image"]
AskedFile = str | Path | tuple[Kind, str | Path]
"""A path or a URL; with what it is, where its name does not say so."""

KINDS: tuple[Kind, ...] = ("video", "audio", "image")
WEB = ("http://", "https://")
# the names that the service has for what these suffixes hold
SOUND_FORMATS = {"mp4": "m4a", "m4b": "m4a", "oga": "ogg", "wave": "wav"}


def file_parts(files: Sequence[AskedFile]) -> list[dict[str, Any]]:
    """Read files, or name their URLs. Blocks.

    Args:
        files: Paths, or URLs on hosts that the service fetches from.

    Raises:
        SourceUnavailable: One cannot be read, or nobody can tell what it is.
    """
    return [_part(*file) if isinstance(file, tuple) else _part(None, file) for file in files]


def _part(kind: Kind | None, file: str | Path) -> dict[str, Any]:
    kind = kind or _guess(file)
    is_url = isinstance(file, str) and file.startswith(WEB)
    if kind == "audio":
        if is_url:
            raise SourceUnavailable(f"{file} cannot be sent: sound comes as a file, not by its URL")
        suffix = Path(file).suffix.removeprefix(".").lower()
        recording = {"data": _read(file), "format": SOUND_FORMATS.get(suffix, suffix)}
        return {"type": "input_audio", "input_audio": recording}
    url = str(file) if is_url else f"data:{_media_type(kind, file)};base64,{_read(file)}"
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}


def _guess(file: str | Path) -> Kind:
    name = mimetypes.guess_type(str(file))[0] or ""
    for kind in KINDS:
        if name.startswith(f"{kind}/"):
            return kind
    raise SourceUnavailable(f"{file} is neither video nor sound nor an image by its name")


def _media_type(kind: Kind, file: str | Path) -> str:
    name = mimetypes.guess_type(str(file))[0] or ""
    return name if name.startswith(f"{kind}/") else f"{kind}/{'mp4' if kind == 'video' else 'png'}"


def _read(file: str | Path) -> str:
    try:
        content = Path(file).read_bytes()
    except OSError as exc:
        raise SourceUnavailable(f"{file} cannot be read: {exc.strerror}") from exc
    if not content:
        raise SourceUnavailable(f"{file} cannot be read: it is empty")
    return base64.b64encode(content).decode()


__all__ = ["AskedFile", "Kind", "file_parts"]
