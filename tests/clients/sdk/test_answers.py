import json

import pytest

from clients.sdk.answers import ASK_AGAIN_S, AnswerStream, ask_again_after_s
from clients.sdk.errors import (
    Conflict,
    ConnectionFailed,
    MalformedAnswer,
    OmniSiftError,
    Overloaded,
    ServerFault,
    TimedOut,
    Unavailable,
)
from clients.sdk.models import Answer

ANSWER = {
    "id": "q",
    "object": "answer",
    "session_id": "s",
    "question": "?",
    "answer": "red circle",
    "finish_reason": "stop",
    "context_start_s": 0,
    "context_end_s": 4,
    "ttft_s": 0.1,
    "duration_s": 0.2,
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "stream": {"video": {"in": 4, "kept": 1}, "audio": {"in": 2, "kept": 1}},
    },
}


def sse(type_: str, payload: object) -> bytes:
    return f"event: {type_}\ndata: {json.dumps(payload)}\n\n".encode()


def test_text_comes_in_pieces_and_the_answer_last() -> None:
    stream = AnswerStream()

    items = stream.feed(
        sse("token", {"text": "red"})
        + b": keep-alive\n\n"
        + sse("token", {"text": ""})
        + sse("token", {"text": " circle"})
        + sse("answer", ANSWER)
    )
    stream.close()

    *text, answer = items
    assert text == ["red", " circle"]
    assert isinstance(answer, Answer)
    assert answer.answer == "red circle"


def test_unknown_events_are_ignored() -> None:
    assert AnswerStream().feed(sse("usage", {"x": 1}) + sse("token", ["?"])) == []


def test_stream_that_ends_early_is_a_broken_connection() -> None:
    stream = AnswerStream()
    stream.feed(sse("token", {"text": "red"}))

    with pytest.raises(ConnectionFailed, match="before the answer was complete"):
        stream.close()


def test_error_event_is_raised() -> None:
    payload = {"error": {"code": "engine_unavailable", "message": "gone", "retryable": True}}

    with pytest.raises(Unavailable, match="gone"):
        AnswerStream().feed(sse("error", payload))


def test_data_that_is_not_json_is_refused() -> None:
    with pytest.raises(MalformedAnswer):
        AnswerStream().feed(b"event: token\ndata: {\n\n")


@pytest.mark.parametrize(
    ("failure", "wait_s"),
    [
        (ConnectionFailed("broke"), ASK_AGAIN_S),
        (Unavailable("died", code="replica_died", is_retryable=True), ASK_AGAIN_S),
        (Unavailable("away", code="unavailable", is_retryable=True, retry_after_s=2.0), 2.0),
        (Unavailable("never", code="http_503"), None),
        (Overloaded("full", code="at_capacity", is_retryable=True, retry_after_s=5.0), None),
        (Conflict("empty", code="no_media_yet", is_retryable=True, retry_after_s=2.0), None),
        (ServerFault("bug", code="internal_error"), None),
        (TimedOut("60 s"), None),
    ],
    ids=lambda value: str(value),
)
def test_question_is_asked_again_where_a_part_was_away(
    failure: OmniSiftError, wait_s: float | None
) -> None:
    assert ask_again_after_s(failure) == wait_s


def test_stream_has_begun_with_its_first_text() -> None:
    stream = AnswerStream()

    stream.feed(b": keep-alive\n\n" + sse("token", {"text": ""}))
    assert not stream.has_begun
    stream.feed(sse("token", {"text": "red"}))
    assert stream.has_begun
