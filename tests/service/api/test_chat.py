import json

import httpx
import pytest

from tests.service.api.conftest import Streamer


def request(session_id: str, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "what is seen?"}]
    return {
        "model": "any",
        "session_id": session_id,
        "messages": messages,
        "max_tokens": 6,
        **more,
    }


async def test_completion_has_openai_fields(http: httpx.AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session()

    reply = (await http.post("/v1/chat/completions", json=request(session_id))).json()

    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("chatcmpl-")
    (choice,) = reply["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] in ("stop", "length")
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["stream"]["video"]["in"] > usage["stream"]["video"]["kept"] > 0


async def test_streamed_chunks_add_up_to_the_completion(
    http: httpx.AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()
    whole = (await http.post("/v1/chat/completions", json=request(session_id))).json()
    options = {"stream": True, "stream_options": {"include_usage": True}}

    response = await http.post("/v1/chat/completions", json=request(session_id, **options))

    lines = [line for line in response.text.split("\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    deltas = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
    assert "".join(deltas) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]


async def test_conversation_changes_the_prompt(http: httpx.AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session()
    short = (await http.post("/v1/chat/completions", json=request(session_id))).json()
    messages = [
        {"role": "user", "content": "what is seen?"},
        {"role": "assistant", "content": "a square"},
        {"role": "user", "content": "which color?"},
    ]

    long = await http.post("/v1/chat/completions", json=request(session_id, messages=messages))

    assert long.json()["usage"]["prompt_tokens"] > short["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"session_id": "nope"}, 404, "nope"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "last message"),
        ({"n": 2}, 400, "n"),
        ({"temperature": 9}, 400, "temperature"),
    ],
)
async def test_errors_have_all_four_openai_fields(
    http: httpx.AsyncClient, change: dict[str, object], status: int, says: str
) -> None:
    session = (await http.post("/v1/sessions")).json()

    response = await http.post("/v1/chat/completions", json=request(session["id"]) | change)

    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert says in error["message"]


async def test_session_id_is_required(http: httpx.AsyncClient) -> None:
    body = request("x")
    del body["session_id"]

    response = await http.post("/v1/chat/completions", json=body)

    assert response.status_code == 400
    assert "session_id" in response.json()["error"]["message"]


async def test_models_lists_the_model(http: httpx.AsyncClient) -> None:
    models = (await http.get("/v1/models")).json()

    assert models["object"] == "list"
    assert [model["id"] for model in models["data"]] == ["stand-in"]
