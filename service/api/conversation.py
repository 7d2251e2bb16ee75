"""Messages in OpenAI's shape: a conversation, and the files that it is about. Pure.

The media is the start of the first user message, whatever stands around it there: so the model was
trained, and so a conversation goes on about the same files.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from service.api.chat_schemas import (
    AudioPart,
    ChatMessage,
    ImagePart,
    MediaPart,
    TextPart,
    VideoPart,
)
from service.errors import BadRequest
from service.ingest.clip import ClipKind
from service.llm.engine import Message

SYSTEM_ROLES: Final = ("system", "developer")  # OpenAI's newer name for the same
AUDIO_FORMATS: Final = ("wav", "mp3", "flac", "ogg", "opus", "aac", "m4a", "webm")
FIELD: Final = "messages"
MAX_FILES: Final = 16
# RFC 2397; parameters (codecs=...) are for the file itself to say
DATA_URL: Final = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[^;,]+)*?;base64,", re.ASCII | re.I
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a question.

    Attributes:
        kind: What the client says it is.
        encoded: The file in base64; None where it is to be opened at `url`.
        url: Where it is; None where it came along.
    """

    kind: ClipKind
    encoded: str | None = field(default=None, repr=False)
    url: str | None = None

    def content(self) -> bytes:
        """Decode the file that came along. Takes 3 ms per MB: call it off the event loop.

        Raises:
            BadRequest: It is not base64, or empty.
        """
        try:
            content = base64.b64decode(self.encoded or "", validate=True)
        except ValueError as error:
            raise BadRequest(f"the {self.kind} is not base64: {error}", field=FIELD) from error
        if not content:
            raise BadRequest(f"the {self.kind} is empty", field=FIELD)
        return content


def conversation(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """OpenAI messages as a conversation about media.

    The media is the start of the first user message, so what a system message says is put before
    the first user text; a live session's own instructions stay as they were when it was created.

    Raises:
        BadRequest: The first or the last message is not the user's.
    """
    system = [_text(message) for message in messages if message.role in SYSTEM_ROLES]
    turns = [Message(m.role, _text(m)) for m in messages if m.role not in SYSTEM_ROLES]
    if not turns or turns[-1].role != "user":
        raise BadRequest("the last message must be the user's", field=FIELD)
    if turns[0].role != "user":
        raise BadRequest("the first message must be the user's", field=FIELD)
    if system:
        turns[0] = Message("user", "\n".join([*system, turns[0].content]))
    return tuple(turns)


def attachments(messages: Sequence[ChatMessage]) -> tuple[Attachment, ...]:
    """The files that the conversation is about, in the order in which the model is shown them.

    Raises:
        BadRequest: There are too many, one is not in the first user message, or is not said in a
            way that is read here.
    """
    found = [(m, part) for m in messages for part in _parts(m) if not isinstance(part, TextPart)]
    if len(found) > MAX_FILES:
        raise BadRequest(
            f"a conversation is about {MAX_FILES} files at most, and this one has {len(found)}",
            field=FIELD,
        )
    first = next((m for m in messages if m.role == "user"), None)
    for message, part in found:
        if message is not first:
            raise BadRequest(
                f"a part of type {part.type!r} must be in the first user message: the conversation "
                "is about it from its start",
                field=FIELD,
            )
    return tuple(_attachment(part) for _, part in found)


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


def _parts(message: ChatMessage) -> Sequence[TextPart | MediaPart]:
    return () if isinstance(message.content, str) else message.content


def _attachment(part: MediaPart) -> Attachment:
    match part:
        case AudioPart(input_audio=audio):
            if audio.format.lower() not in AUDIO_FORMATS:
                raise BadRequest(f"format must be one of {', '.join(AUDIO_FORMATS)}", field=FIELD)
            return Attachment("audio", encoded=audio.data)
        case VideoPart(video_url=address):
            return _addressed("video", address.url)
        case ImagePart(image_url=address):
            if address.detail not in (None, "auto"):
                raise BadRequest(
                    f'detail {address.detail!r} is not offered; leave it out or send "auto"',
                    field=FIELD,
                )
            return _addressed("image", address.url)


def _addressed(kind: Literal["video", "image"], url: str) -> Attachment:
    if url[:5].lower() != "data:":
        return Attachment(kind, url=url)
    head = DATA_URL.match(url, 0, 512)
    if head is None:
        raise BadRequest(f"a data URL must be data:{kind}/...;base64,...", field=FIELD)
    media_type = (head["type"] or "").lower()
    if not media_type.startswith(f"{kind}/"):
        raise BadRequest(
            f"the data URL of a part of type {kind}_url is {media_type or 'of no type'}, "
            f"not {kind}/...",
            field=FIELD,
        )
    return Attachment(kind, encoded=url[head.end() :])


__all__ = ["MAX_FILES", "Attachment", "attachments", "conversation"]
