import asyncio
import json

import httpx
import pytest

from clients.sdk import Answer, AsyncClient
from tests.eventually import eventually
from tests.local import LocalBackend
from tests.service.api.conftest import Streamer


async def test_answer_says_what_it_saw(client: AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session(seconds=6)

    answer = await client.ask(session_id, "what is seen?", max_tokens=5)

    assert (answer.context_start_s, answer.context_end_s) == (0.0, 6.0)
    assert answer.usage.completion_tokens <= 5
    assert answer.ttft_s is not None
    assert 0 < answer.ttft_s <= answer.duration_s
    assert answer.usage.stream.audio.kept == 75


async def test_streamed_answer_is_the_same_as_the_whole(
    client: AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()

    whole = await client.ask(session_id, "what is heard?", max_tokens=12)
    parts = [part async for part in client.ask_stream(session_id, "what is heard?", max_tokens=12)]

    texts, last = parts[:-1], parts[-1]
    assert isinstance(last, Answer)
    assert "".join(str(text) for text in texts) == last.answer == whole.answer


async def test_window_leaves_older_chunks_out(client: AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session(seconds=8)

    answer = await client.ask(session_id, "now?", window_s=4.0, max_tokens=1)

    assert (answer.context_start_s, answer.context_end_s) == (4.0, 8.0)


async def test_same_seed_gives_the_same_answer(client: AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session()
    options = {"temperature": 1.0, "max_tokens": 16}

    first, again, other = [
        (await client.ask(session_id, "?", seed=seed, **options)).answer  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    ]

    assert first == again != other


async def test_stop_string_ends_the_answer_before_it(
    client: AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()
    options = {"temperature": 1.0, "seed": 1, "max_tokens": 16}
    whole = (await client.ask(session_id, "?", **options)).answer  # type: ignore[arg-type]
    stop = whole[3:5]

    cut = await client.ask(session_id, "?", stop=[stop], **options)  # type: ignore[arg-type]

    assert cut.answer == whole.split(stop)[0]
    assert cut.finish_reason == "stop"


async def test_question_before_the_first_chunk_is_409(http: httpx.AsyncClient) -> None:
    session = (await http.post("/v1/sessions")).json()

    response = await http.post(session["links"]["query"], json={"question": "anything?"})

    assert response.status_code == 409
    assert response.json()["error"]["code"] == "no_media_yet"
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "?", "max_tokens": 0},
        {"question": "?", "temperature": -1},
        {"question": "?", "window_s": 0},
        {"question": "?", "stop": list("abcde")},
    ],
)
async def test_invalid_question_is_refused(
    http: httpx.AsyncClient, body: dict[str, object]
) -> None:
    session = (await http.post("/v1/sessions")).json()

    response = await http.post(session["links"]["query"], json=body)

    assert response.status_code == 422


async def test_body_that_is_not_json_is_refused(http: httpx.AsyncClient) -> None:
    session = (await http.post("/v1/sessions")).json()
    headers = {"Content-Type": "application/json"}

    response = await http.post(session["links"]["query"], content=b"{", headers=headers)

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid_body"


async def test_client_that_leaves_cancels_its_question(
    http: httpx.AsyncClient, streamer: Streamer, backend: LocalBackend
) -> None:
    session_id = await streamer.session()
    body = {"question": "?", "stream": True, "max_tokens": 4096, "temperature": 1.0}
    path = f"/v1/sessions/{session_id}/query"

    async with http.stream("POST", path, json=body) as response:
        await anext(response.aiter_lines())

    async def is_cancelled() -> bool:
        turns = (await http.get(f"/v1/sessions/{session_id}/turns")).json()["data"]
        return [turn["finish_reason"] for turn in turns] == ["cancelled"]

    await eventually(is_cancelled)


async def test_sessions_and_questions_at_once_never_mix(
    client: AsyncClient, streamer: Streamer
) -> None:
    first, second = [await streamer.session(seconds=s) for s in (4, 8)]
    alone = {
        sid: (await client.ask(sid, f"{sid}?", max_tokens=8)).answer for sid in (first, second)
    }

    answers = await asyncio.gather(
        *(client.ask(sid, f"{sid}?", max_tokens=8) for sid in (first, second) * 4)
    )

    for answer in answers:
        assert answer.answer == alone[answer.session_id]
        assert answer.context_end_s == {first: 4.0, second: 8.0}[answer.session_id]


async def test_error_after_the_first_token_is_an_event(
    http: httpx.AsyncClient, client: AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()
    body = {"question": "?", "stream": True, "max_tokens": 4096, "temperature": 1.0, "seed": 3}

    async with http.stream("POST", f"/v1/sessions/{session_id}/query", json=body) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "event: token"
        await client.end_session(session_id)
        rest = [line async for line in lines]

    events = [line for line in rest if line.startswith("event: ")]
    assert events[-1] in ("event: error", "event: answer")
    last = json.loads([line for line in rest if line.startswith("data: ")][-1][6:])
    assert "error" in last or last["finish_reason"] == "cancelled"


async def test_deeply_nested_json_is_refused_and_hurts_nobody(http: httpx.AsyncClient) -> None:
    created = (await http.post("/v1/sessions")).json()
    path = f"/v1/sessions/{created['id']}/query"
    headers = {"Content-Type": "application/json"}
    for body in ("[" * 200_000, '{"question":' * 80_000, "[" * 200_000 + "]" * 200_000):
        response = await http.post(path, content=body, headers=headers)
        assert 400 <= response.status_code < 500, response.text

    assert (await http.get("/healthz")).status_code == 200


async def test_question_about_a_moment_tells_what_it_saw(
    http: httpx.AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session(seconds=6)
    path = f"/v1/sessions/{session_id}/query"

    part = await http.post(
        path, json={"question": "?", "at_s": 4.0, "window_s": 2.0, "max_tokens": 1}
    )
    late = await http.post(path, json={"question": "?", "at_s": 60.0})

    assert part.json()["spans"] == [{"start_s": 2.0, "end_s": 4.0}]
    assert part.json()["context_end_s"] == 4.0
    assert (late.status_code, late.json()["error"]["code"]) == (409, "moment_not_held")
    assert late.json()["error"]["details"] == {"field": "at_s", "start_s": 0.0, "end_s": 6.0}
