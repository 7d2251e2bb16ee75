import json
from typing import Any

import pytest

from clients.sdk.completions import CompletionStream, completion_body, read_completion
from clients.sdk.errors import ConnectionFailed, MalformedAnswer, OmniSiftError
from clients.sdk.models import FileAnswer

USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "total_tokens": 3,
    "stream": {"video": {"in": 4, "kept": 1}, "audio": {"in": 2, "kept": 1}},
}


def sse(payload: object) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def delta(content: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return {"id": "c", "choices": [choice]}


def test_question_stands_behind_its_files() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://host/a.png"}}

    body = completion_body([part], "what?", {"seed": 7})

    content = [part, {"type": "text", "text": "what?"}]
    assert body == {"messages": [{"role": "user", "content": content}], "seed": 7}


def test_whole_answer_is_read() -> None:
    message = {"role": "assistant", "content": "red"}
    choice = {"message": message, "finish_reason": "length"}

    answer = read_completion({"id": "c", "choices": [choice], "usage": USAGE})

    assert (answer.id, answer.answer, answer.finish_reason) == ("c", "red", "length")
    assert answer.usage.stream.total.kept == 2


def test_text_comes_in_pieces_and_the_answer_last() -> None:
    stream = CompletionStream()
    assert not stream.has_begun

    *text, answer = stream.feed(
        sse(delta(""))
        + sse(delta("red"))
        + b": keep-alive\n\n"
        + sse(delta(" circle"))
        + sse(delta(None, "stop"))
        + sse({"id": "c", "choices": [], "usage": USAGE})
        + b"data: [DONE]\n\n"
    )
    stream.close()

    assert (text, stream.has_begun) == (["red", " circle"], True)
    assert isinstance(answer, FileAnswer)
    assert (answer.answer, answer.finish_reason) == ("red circle", "stop")


def test_stream_that_ends_early_is_a_broken_connection() -> None:
    stream = CompletionStream()
    stream.feed(sse(delta("red")))

    with pytest.raises(ConnectionFailed, match="ask again"):
        stream.close()


def test_error_is_raised() -> None:
    with pytest.raises(OmniSiftError, match="died"):
        CompletionStream().feed(sse({"error": {"code": "engine_unavailable", "message": "died"}}))


@pytest.mark.parametrize("data", [b"data: {\n\n", sse({}), sse({"choices": [1]}), sse([])])
def test_what_is_no_completion_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        CompletionStream().feed(data)
    with pytest.raises(MalformedAnswer):
        read_completion({"choices": []})
