import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from clients.sdk import AsyncClient
from service.api import uploads
from service.api.app import ApiConfig, create_app
from service.egress import AllowList
from service.ingest.config import IngestConfig, SourcesConfig
from service.ingest.liveness import LivenessConfig
from service.ingest.source_policy import SourcePolicy
from service.ingest.uploads import UploadLimits
from tests.clips import write_clip
from tests.eventually import eventually
from tests.local import LocalBackend, local_backend, served
from tests.service.api.conftest import created
from tests.service.api.keys import bearer
from tests.web import send, web_server

MAX_BYTES = 256 << 10


@pytest.fixture
async def backend(redis_url: str, checkpoint: Path, tmp_path: Path) -> AsyncIterator[LocalBackend]:
    config = IngestConfig(
        liveness=LivenessConfig(no_media_s=60, idle_s=60, silent_s=60),
        sources=SourcesConfig(
            policy=SourcePolicy(AllowList.parse(["127.0.0.1"]), file_roots=[tmp_path]),
            uploads=UploadLimits(max_bytes=MAX_BYTES),
        ),
    )
    async with local_backend(redis_url, checkpoint, ingest_config=config) as backend:
        yield backend


@pytest.fixture
async def url(backend: LocalBackend) -> AsyncIterator[str]:
    async with served(create_app(backend, ApiConfig(max_upload_bytes=MAX_BYTES))) as url:
        yield url


async def new_session(http: httpx.AsyncClient) -> str:
    return str((await http.post("/v1/sessions")).json()["id"])


async def is_over(http: httpx.AsyncClient, session_id: str) -> bool:
    [source] = (await http.get(f"/v1/sessions/{session_id}/sources")).json()["data"]
    return source["state"] in ("ended", "failed")


async def test_a_recording_is_fetched_and_asked_about(
    http: httpx.AsyncClient, client: AsyncClient, tmp_path: Path
) -> None:
    content = write_clip(tmp_path / "clip.mp4", duration_s=4.5).read_bytes()
    session_id = await new_session(http)
    path = f"/v1/sessions/{session_id}"

    with web_server(lambda handler: send(handler, content, ranges=True)) as web:
        body = {"url": f"{web.replace('//', '//user:pass@')}/clip.mp4?key=s", "speed": "fast"}
        added = await http.post(f"{path}/sources", json=body)
        await eventually(lambda: is_over(http, session_id))
    await client.wait_until_live(session_id)

    async def has_all() -> bool:
        return (await client.get_session(session_id)).chunks == 3

    await eventually(has_all)
    answer = await http.post(f"{path}/query", json={"question": "what ?", "max_tokens": 4})
    timeline = (await http.get(f"{path}/timeline")).json()
    [source] = (await http.get(f"{path}/sources")).json()["data"]
    removed = await http.delete(f"{path}/sources/{source['id']}")
    again = await http.delete(f"{path}/sources/{source['id']}")

    assert added.status_code == 201
    assert added.json()["url"] == f"{web}/clip.mp4"
    assert (source["id"], source["state"], source["reason"]) == (added.json()["id"], "ended", None)
    assert answer.status_code == 200
    assert [chunk["index"] for chunk in timeline["chunks"]] == [0, 1, 2]
    assert removed.status_code == 204
    assert (again.status_code, again.json()["error"]["code"]) == (404, "source_not_found")


async def test_a_recording_is_sent_and_played(
    http: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", 4096)
    content = write_clip(tmp_path / "clip.mp4", duration_s=4.5).read_bytes()
    session_id = await new_session(http)

    sent = await http.put(
        f"/v1/sessions/{session_id}/media", content=content, headers={"Content-Type": "video/mp4"}
    )
    busy = await http.put(f"/v1/sessions/{session_id}/media", content=content)
    await eventually(lambda: is_over(http, session_id))

    async def chunks() -> bool:
        session = (await http.get(f"/v1/sessions/{session_id}")).json()
        return bool(session["chunks"] == 3 and session["status"] == "idle")

    assert (sent.status_code, sent.json()["url"], sent.json()["speed"]) == (201, None, "fast")
    assert busy.status_code in (201, 409)
    await eventually(chunks)


@pytest.mark.parametrize(
    ("content", "headers", "query", "status", "code"),
    [
        (b"", {}, "", 422, "media_unreadable"),
        (b"no media", {}, "", 422, "media_unreadable"),
        (b"x" * (MAX_BYTES + 1), {}, "", 413, "body_too_large"),
        (b"x", {"Content-Type": "text/plain"}, "", 415, "unsupported_media_type"),
        (b"x", {"Content-Encoding": "gzip"}, "", 415, "unsupported_encoding"),
        (b"x", {}, "?speed=slow", 422, "invalid_body"),
    ],
)
async def test_what_is_no_recording_is_refused(
    http: httpx.AsyncClient,
    backend: LocalBackend,
    content: bytes,
    headers: dict[str, str],
    query: str,
    status: int,
    code: str,
) -> None:
    session_id = await new_session(http)

    reply = await http.put(
        f"/v1/sessions/{session_id}/media{query}", content=content, headers=headers
    )

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert backend.ingest.num_sessions == 0


async def test_a_body_without_a_length_is_cut_at_the_limit(
    http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    session_id = await new_session(http)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(2 * MAX_BYTES // 1024):
            yield b"x" * 1024

    reply = await http.put(f"/v1/sessions/{session_id}/media", content=body())

    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")
    assert backend.ingest.num_sessions == 0


async def test_a_body_that_breaks_off_leaves_nothing_behind(
    http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    session_id = await new_session(http)

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 1024
        await asyncio.sleep(0.2)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await http.put(f"/v1/sessions/{session_id}/media", content=body())

    await eventually(lambda: backend.ingest.num_sessions == 0)


@pytest.mark.parametrize(
    ("wanted", "setting"),
    [
        ("http://93.184.216.34/", "HOSTS"),
        ("file:///etc/passwd", "FILE_ROOTS"),
        ("http://169.254.169.254/", ""),
    ],
)
async def test_what_is_not_allowed_is_refused_with_the_setting(
    http: httpx.AsyncClient, wanted: str, setting: str
) -> None:
    session_id = await new_session(http)

    reply = await http.post(f"/v1/sessions/{session_id}/sources", json={"url": wanted})

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "url_refused")
    assert setting in reply.json()["error"]["message"]


async def test_one_publisher_at_a_time(
    http: httpx.AsyncClient, backend: LocalBackend, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clip.mp4", duration_s=30.0, fps=2)
    session_id = await new_session(http)
    path, body = f"/v1/sessions/{session_id}", {"url": f"file://{tmp_path}/clip.mp4"}

    first = await http.post(f"{path}/sources", json=body)
    second = await http.post(f"{path}/sources", json=body)
    upload = await http.put(f"{path}/media", content=b"x")
    await http.delete(path)
    ended = await http.post(f"{path}/sources", json=body)

    assert first.status_code == 201
    for refused in (second, upload):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "already_publishing")
    assert (ended.status_code, ended.json()["error"]["code"]) == (409, "session_ended")


async def test_sources_are_for_who_may_publish(guarded: httpx.AsyncClient) -> None:
    session_id = await created(guarded, "alice")
    path = f"/v1/sessions/{session_id}"

    alice = await guarded.get(f"{path}/sources", headers=bearer("alice"))
    bob = await guarded.get(f"{path}/sources", headers=bearer("bob"))
    nobody = await guarded.put(f"{path}/media", content=b"x")

    assert (alice.status_code, alice.json()["data"]) == (200, [])
    assert bob.status_code == 404
    assert nobody.status_code == 401
