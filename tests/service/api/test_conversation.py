import base64
from typing import Any

import pytest
from pydantic import ValidationError

from service.api.chat_schemas import ChatMessage
from service.api.conversation import AUDIO_FORMATS, MAX_FILES, Attachment, attachments, conversation
from service.errors import BadRequest
from service.llm.engine import Message

ENCODED = base64.b64encode(b"a file").decode()


def say(role: str, content: object) -> ChatMessage:
    return ChatMessage.model_validate({"role": role, "content": content})


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def file(kind: str, url: str = f"data:video/mp4;base64,{ENCODED}") -> dict[str, Any]:
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}


def sound(audio_format: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": ENCODED, "format": audio_format}}


def test_system_message_precedes_the_first_user_text() -> None:
    turns = conversation(
        [say("system", "Be brief."), say("user", "a"), say("assistant", "b"), say("user", "c")]
    )

    assert turns == (
        Message("user", "Be brief.\na"),
        Message("assistant", "b"),
        Message("user", "c"),
    )


@pytest.mark.parametrize(
    "content",
    [
        [text("a"), text("b")],
        [text("a"), file("video"), text("b")],
        [sound(), text("a"), text("b")],
        "a\nb",
    ],
)
def test_texts_around_media_are_joined_in_order(content: object) -> None:
    assert conversation([say("user", content)]) == (Message("user", "a\nb"),)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([say("user", "a"), say("assistant", "b")], "last message"),
        ([say("assistant", "b"), say("user", "a")], "first message"),
        ([say("system", "s")], "last message"),
    ],
)
def test_conversation_out_of_order_is_refused(wrong: list[ChatMessage], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        conversation(wrong)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (file("video"), Attachment("video", encoded=ENCODED)),
        (file("video", "https://host/x.mp4"), Attachment("video", url="https://host/x.mp4")),
        (
            file("video", f'DATA:Video/webm;codecs="vp8";base64,{ENCODED}'),
            Attachment("video", encoded=ENCODED),
        ),
        (
            file("image", f"data:image/png;base64,{ENCODED}"),
            Attachment("image", encoded=ENCODED),
        ),
        (sound(), Attachment("audio", encoded=ENCODED)),
    ],
)
def test_file_is_found_wherever_it_stands_in_the_first_user_message(
    part: dict[str, Any], found: Attachment
) -> None:
    for content in ([part], [text("a"), part], [part, text("b")]):
        later = [say("assistant", "yes"), say("user", "and now?")]
        assert attachments([say("system", "s"), say("user", content), *later]) == (found,)


def test_files_are_in_the_order_of_their_parts() -> None:
    content = [text("a"), sound(), file("video"), text("b"), sound("mp3")]

    found = attachments([say("user", content)])

    assert [one.kind for one in found] == ["audio", "video", "audio"]


def test_messages_of_text_hold_no_file() -> None:
    assert attachments([say("user", "a"), say("user", [text("b")])]) == ()


@pytest.mark.parametrize("audio_format", [*AUDIO_FORMATS, "MP3"])
def test_usual_audio_formats_are_taken(audio_format: str) -> None:
    assert attachments([say("user", [sound(audio_format)])])


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([say("user", [file("video")] * (MAX_FILES + 1))], f"this one has {MAX_FILES + 1}"),
        ([say("user", [sound()]), say("user", [sound()])], "first user message"),
        ([say("user", "a"), say("user", [sound()])], "first user message"),
        ([say("system", [file("video")]), say("user", "a")], "first user message"),
        ([say("user", "a"), say("assistant", [file("video")])], "first user message"),
        ([say("user", [sound("midi")])], "format must be one of wav"),
        ([say("user", [file("image")])], "is video/mp4, not image"),
        ([say("user", [file("video", "data:,abc")])], "data:video/...;base64,"),
        ([say("user", [file("video", "data:video/mp4,abc")])], "data:video/...;base64,"),
        ([say("user", [file("video", f"data:;base64,{ENCODED}")])], "of no type"),
    ],
)
def test_what_is_not_read_is_refused_in_words(messages: list[ChatMessage], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        attachments(messages)


def test_detail_that_asks_for_something_is_refused() -> None:
    def with_detail(detail: str | None) -> ChatMessage:
        address = {"url": f"data:image/png;base64,{ENCODED}", "detail": detail}
        return say("user", [{"type": "image_url", "image_url": address}])

    assert attachments([with_detail(None)]) == attachments([with_detail("auto")])
    with pytest.raises(BadRequest, match="detail 'high' is not offered"):
        attachments([with_detail("high")])


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"type": "file", "file": {}}, "'text', 'video_url', 'image_url', 'input_audio'"),
        ({"type": "video_url"}, "Field required"),
        ({"type": "video_url", "video_url": "data:"}, "valid dictionary"),
        ({}, "Unable to extract tag"),
        ("loose text", "valid dictionary"),
    ],
)
def test_unknown_and_broken_parts_do_not_parse(part: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        say("user", [part])


def test_content_is_decoded() -> None:
    assert Attachment("audio", encoded=ENCODED).content() == b"a file"


@pytest.mark.parametrize("encoded", ["%%%", "YQ", "YQ==\n", "ü", "", "===="])
def test_what_is_not_base64_is_refused(encoded: str) -> None:
    with pytest.raises(BadRequest, match=r"base64|empty"):
        Attachment("audio", encoded=encoded).content()
