"""A recording that is sent gives the session again, over real workers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from clients.sdk import AsyncClient
from clients.sdk.events import ChunkEvent
from service.api.app import ApiConfig, create_app
from service.api.replays import ReplaysConfig
from service.ingest.config import IngestConfig, SourcesConfig
from service.ingest.liveness import LivenessConfig
from service.ingest.recording.journal import Asked
from service.ingest.recording.recorder import RecordingConfig
from service.ingest.uploads import UploadLimits
from service.media.chunker import ChunkerConfig
from service.sessions.record import SessionConfig, SessionId
from tests.eventually import eventually
from tests.local import LocalBackend, local_backend, served
from tests.media import make_audio, make_video
from tests.service.api.keys import bearer
from tests.service.ingest.recording.tapes import make_looks, make_tape
from tests.service.replay.taping import fetch, play

VERSION, MAX_BYTES = "0.1.0", 2 << 20
FITTING = {"chunker": ChunkerConfig()}


@pytest.fixture
async def backend(redis_url: str, checkpoint: Path) -> AsyncIterator[LocalBackend]:
    torch.set_num_threads(1)
    config = IngestConfig(
        liveness=LivenessConfig(no_media_s=60, idle_s=60, silent_s=60),
        sources=SourcesConfig(uploads=UploadLimits(max_bytes=MAX_BYTES)),
        recording=RecordingConfig(service=VERSION, model="stand-in"),
    )
    async with local_backend(redis_url, checkpoint, ingest_config=config) as backend:
        yield backend


@pytest.fixture
async def url(backend: LocalBackend) -> AsyncIterator[str]:
    replays = ReplaysConfig(max_bytes=MAX_BYTES, service=VERSION)
    async with served(create_app(backend, ApiConfig(replays=replays))) as url:
        yield url


@pytest.fixture
async def recording(backend: LocalBackend, client: AsyncClient, tmp_path: Path) -> bytes:
    """Four seconds of a session with instructions, and one question."""
    options = {"profile": "paper-25", "instructions": "Be brief."}
    session = await client.create_session(**options)  # type: ignore[arg-type]  # both are strings
    session_id = SessionId(session.id)

    recording_id = await backend.ingest.record(session_id, 60.0)
    await play(backend.ingest, session_id, [*make_video(0, 4, fps=2), *make_audio(0, 4)])
    async with asyncio.timeout(20), aclosing(client.events(session.id)) as feed:
        events = (event async for event in feed if isinstance(event, ChunkEvent))
        assert [(await anext(events)).index for _ in range(2)] == [0, 1]  # both are in context
    await client.ask(session.id, "what ?", max_tokens=3)
    await client.end_session(session.id)
    path = await fetch(backend.ingest, session_id, recording_id, tmp_path / "a.mkv")
    return path.read_bytes()


async def send(http: httpx.AsyncClient, data: bytes, **query: str) -> list[tuple[str, Any]]:
    """The events of a replay: types and data."""
    reply = await http.post("/v1/replays", content=data, params=query)
    assert reply.status_code == 200, reply.text
    pairs = [part.split("\n") for part in reply.text.strip().split("\n\n")]
    return [(type_[7:], json.loads(data[6:])) for type_, data in pairs]


async def test_a_session_comes_out_as_it_was_in_a_session_of_its_own(
    recording: bytes, http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    (begun, session), *middle, (ended, report) = await send(http, recording)
    metrics = backend.metrics.registry

    assert (begun, ended) == ("session", "report")
    assert [kind for kind, _ in middle] == ["chunk", "chunk", "answer"]
    assert report["is_same"] is True
    assert report["chunks"] == {"replayed": 2, "compared": 2, "different": 0}
    assert report["answers"] == {"compared": 1, "different": 0}
    path = f"/v1/sessions/{session['session_id']}"
    made = (await http.get(path)).json()
    assert (made["profile"], made["chunks"]) == ("paper-25", 2)
    assert session["recording"]["session_id"] != made["id"]
    timeline = (await http.get(f"{path}/timeline")).json()
    assert [chunk["has_thumbnail"] for chunk in timeline["chunks"]] == [True, True]
    assert len((await http.get(f"{path}/turns")).json()["data"]) == 1
    active = {"direction": "replay"}
    assert metrics.get_sample_value("omnisift_recordings_active", active) == 0  # there was one


async def test_the_session_goes_on_where_the_recording_ended(
    recording: bytes, http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    events = await send(http, recording)
    session_id = SessionId(events[0][1]["session_id"])

    async def is_idle() -> bool:
        return (await backend.store.get(session_id)).status == "idle"

    await eventually(is_idle)
    await play(backend.ingest, session_id, [*make_video(0, 2, fps=2), *make_audio(0, 2)])

    async def has_more() -> bool:
        return (await backend.store.get(session_id)).last_index >= 2

    await eventually(has_more)


@pytest.mark.parametrize(
    ("data", "status", "code", "word"),
    [
        (b"not a film", 422, "unprocessable", "no service recorded it"),
        (make_tape([], **FITTING)[:-40], 422, "unprocessable", "cut short"),
        (make_tape(make_looks(), **FITTING)[:-9], 422, "unprocessable", "replayed"),
        (make_tape([]), 422, "unprocessable", "max_pixels 3136 (here 50176)"),
        (make_tape([], service="9", **FITTING), 409, "recording_differs", "version 9 (here 0.1.0)"),
        (make_tape([], model="big", **FITTING), 409, "recording_differs", "model big"),
        (make_tape([], config=SessionConfig("odd"), **FITTING), 422, "unprocessable", "profile"),
        (make_tape([], format=2, **FITTING), 422, "unprocessable", "format 2"),
        (make_tape([], **FITTING) + b"\0" * MAX_BYTES, 413, "body_too_large", "limit"),
    ],
)
async def test_what_cannot_be_replayed_is_told_why(
    http: httpx.AsyncClient, data: bytes, status: int, code: str, word: str
) -> None:
    reply = await http.post("/v1/replays", content=data)

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert word in reply.json()["error"]["message"]
    sessions = (await http.get("/v1/sessions")).json()["data"]
    assert all(session["status"] == "ended" for session in sessions)


async def test_another_versions_recording_is_replayed_if_one_wants_to(
    http: httpx.AsyncClient,
) -> None:
    data = make_tape(make_looks(), service="9", model="big", **FITTING)

    *_, (_, report) = await send(http, data, anyway="true")

    assert report["chunks"]["replayed"] == 2


async def test_a_damaged_file_is_refused_before_anything_is_replayed(
    http: httpx.AsyncClient,
) -> None:
    data = bytearray(make_tape(make_looks(), **FITTING))
    data[data.index(b"IHDR") + 8] ^= 1

    reply = await http.post("/v1/replays", content=bytes(data))

    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "unprocessable")
    assert "checksum" in reply.json()["error"]["message"]


async def test_who_hangs_up_ends_the_replay(http: httpx.AsyncClient, backend: LocalBackend) -> None:
    asked = [Asked("what ?", "a", 2.0 * (number % 8), "length", 200) for number in range(100)]
    data = make_tape(make_looks(16), asked, **FITTING)

    async with http.stream("POST", "/v1/replays", content=data) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("event: chunk"):
                break
    session_id = SessionId((await backend.store.list(limit=1))[0].id)

    async def is_idle() -> bool:
        return (await backend.store.get(session_id)).status == "idle"

    await eventually(is_idle)
    before = (await backend.store.get(session_id)).num_chunks
    await asyncio.sleep(0.5)
    assert (await backend.store.get(session_id)).num_chunks == before < 8


async def test_ending_the_session_ends_its_replay(
    http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    asked = [Asked("what ?", "a", 2.0 * (number % 8), "length", 200) for number in range(100)]
    data = make_tape(make_looks(16), asked, **FITTING)
    events = list[str]()

    async with http.stream("POST", "/v1/replays", content=data) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("event: "):
                events.append(line[7:])
                if len(events) == 2:
                    session_id = (await backend.store.list(limit=1))[0].id
                    await backend.ingest.end(session_id, "deleted")

    assert events[-1] == "error"
    assert "report" not in events


async def test_a_replay_publishes_and_asks(guarded: httpx.AsyncClient) -> None:
    data = make_tape(make_looks(), model="stand-in", **FITTING)

    async def status(key: str) -> int:
        query = {"anyway": "true"}
        headers = bearer(key)
        return (
            await guarded.post("/v1/replays", content=data, params=query, headers=headers)
        ).status_code

    assert await status("camera") == 403
    assert await status("viewer") == 403
    assert await status("nobody") == 401
    assert await status("alice") == 200


async def test_only_so_many_are_replayed_at_once(
    http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    backend.sources._num_replays = 2

    reply = await http.post("/v1/replays", content=make_tape(make_looks(), **FITTING))

    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "at_capacity")
