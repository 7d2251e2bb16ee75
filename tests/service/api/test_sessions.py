import io

import av
import httpx
import pytest

from clients.sdk import AsyncClient
from service.api.sessions import MAX_INDEX, new_session_id
from tests.service.api.conftest import Streamer


def test_session_ids_cannot_be_guessed() -> None:
    ids = {new_session_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert min(map(len, ids)) >= 22  # 128 bits in base 64


async def test_created_session_can_be_read_and_is_listed(http: httpx.AsyncClient) -> None:
    body = {"profile": "paper-35", "audio_keep_ratio": 1.0, "metadata": {"room": "lab"}}
    created = await http.post("/v1/sessions", json=body)
    await http.post("/v1/sessions")

    assert created.status_code == 201
    shown = await http.get(created.headers["Location"])
    assert shown.json() == created.json()
    assert shown.json()["status"] == "created"
    assert shown.json()["metadata"] == {"room": "lab"}
    listed = (await http.get("/v1/sessions")).json()["data"]
    assert [one["profile"] for one in listed] == ["live", "paper-35"]  # newest first


@pytest.mark.parametrize(
    "body",
    [
        {"profile": "fancy"},
        {"video_keep_ratio": 0},
        {"audio_keep_ratio": 1.5},
        {"profil": "full"},
        {"instructions": "x" * 4001},
    ],
)
async def test_invalid_session_is_refused_by_field(
    http: httpx.AsyncClient, body: dict[str, object]
) -> None:
    response = await http.post("/v1/sessions", json=body)

    assert response.status_code == 422
    assert next(iter(body)) in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/sessions/nope"),
        ("DELETE", "/v1/sessions/nope"),
        ("GET", "/v1/sessions/nope/events"),
        ("GET", "/v1/sessions/nope/turns"),
        ("GET", "/v1/sessions/nope/timeline"),
    ],
)
async def test_unknown_session_is_404(http: httpx.AsyncClient, method: str, path: str) -> None:
    response = await http.request(method, path)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "session_not_found"


async def test_ended_session_stays_readable_and_takes_nothing(
    http: httpx.AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()

    assert (await http.delete(f"/v1/sessions/{session_id}")).status_code == 204
    assert (await http.delete(f"/v1/sessions/{session_id}")).status_code == 204

    record = (await http.get(f"/v1/sessions/{session_id}")).json()
    assert (record["status"], record["end_reason"]) == ("ended", "deleted")
    answer = await http.post(f"/v1/sessions/{session_id}/query", json={"question": "?"})
    assert answer.status_code == 409
    assert answer.json()["error"]["details"]["reason"] == "deleted"


async def test_record_counts_what_was_kept(client: AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session(seconds=6)

    record = await client.get_session(session_id)

    assert record.chunks == 3
    assert record.stream_s == 6.0
    assert record.tokens.audio.kept == 3 * 25  # half of 50 a chunk
    assert 0 < record.tokens.video.kept < record.tokens.video.in_
    assert record.lag_s is not None


async def test_timeline_is_the_log(http: httpx.AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session(seconds=6)

    whole = (await http.get(f"/v1/sessions/{session_id}/timeline")).json()
    last = (await http.get(f"/v1/sessions/{session_id}/timeline?limit=1")).json()

    assert [unit["index"] for unit in whole["chunks"]] == [0, 1, 2]
    assert whole["chunks"][1]["start_s"] == 2.0
    assert [unit["index"] for unit in last["chunks"]] == [2]


async def test_timeline_tells_what_is_in_context(
    http: httpx.AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session(seconds=4)
    await http.post(f"/v1/sessions/{session_id}/query", json={"question": "?", "max_tokens": 1})

    live = (await http.get(f"/v1/sessions/{session_id}/timeline")).json()
    await http.delete(f"/v1/sessions/{session_id}")
    over = (await http.get(f"/v1/sessions/{session_id}/timeline")).json()

    for chunk in live["chunks"]:
        kept = {name: chunk["tokens"][name]["kept"] for name in ("video", "audio")}
        assert chunk["held"] == {"video_tokens": kept["video"], "audio_tokens": kept["audio"]}
    assert [(one["question"], one["stream_s"]) for one in live["questions"]] == [("?", 4.0)]
    assert [chunk["held"] for chunk in over["chunks"]] == [None, None]


async def test_thumbnail_is_a_small_jpeg(http: httpx.AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session(seconds=4)
    path = f"/v1/sessions/{session_id}/chunks"

    shown = await http.get(f"{path}/1/thumbnail")
    missing = await http.get(f"{path}/7/thumbnail")

    assert shown.headers["content-type"] == "image/jpeg"
    with av.open(io.BytesIO(shown.content)) as picture:
        assert next(picture.decode(video=0)).width <= 160
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_thumbnail")
    assert (await http.get(f"{path}/{MAX_INDEX}/thumbnail")).status_code == 404
    assert (await http.get(f"{path}/{MAX_INDEX + 1}/thumbnail")).status_code == 422
