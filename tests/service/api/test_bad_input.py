"""What is sent by mistake: each answer says what happened and what to do about it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.app import ApiConfig, create_app
from service.egress import AllowList
from service.ingest.config import IngestConfig, SourcesConfig
from service.ingest.container import ContainerLimits
from service.ingest.source_policy import SourcePolicy
from tests.clips import write_clip
from tests.damage import DATA
from tests.eventually import eventually
from tests.free_port import free_port
from tests.local import LocalBackend, fake_backend, served
from tests.service.api.conftest import created
from tests.service.api.keys import bearer
from tests.service.api.test_tokens import minted

pytestmark = pytest.mark.redis

EIGHT_K = (7680, 4320)


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[LocalBackend]:
    sources = SourcesConfig(
        policy=SourcePolicy(AllowList.parse(["127.0.0.1"])),
        limits=ContainerLimits(open_s=2.0, read_s=2.0),
    )
    async with fake_backend(redis_url, ingest_config=IngestConfig(sources=sources)) as made:
        yield made


@pytest.fixture
async def http(backend: LocalBackend) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(backend, ApiConfig())
    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=20.0) as http:
        yield http


async def open_session(http: httpx.AsyncClient) -> str:
    return str((await http.post("/v1/sessions")).json()["id"])


def said(reply: httpx.Response, status: int) -> str:
    assert reply.status_code == status, reply.text
    return str(reply.json()["error"]["message"])


async def test_key_that_nobody_knows(guarded: httpx.AsyncClient) -> None:
    for headers in ({}, bearer("osk_wrong")):
        message = said(await guarded.post("/v1/sessions", headers=headers), 401)
        assert "Authorization: Bearer" in message, message


async def test_token_whose_time_is_over(
    guarded: httpx.AsyncClient, elapse: Callable[[float], None]
) -> None:
    session_id = await created(guarded, "alice")
    token = await minted(guarded, session_id, "alice", ttl_s=60)
    elapse(61.0)

    message = said(await guarded.get(f"/v1/sessions/{session_id}", headers=bearer(token)), 401)

    assert "expired" in message
    assert "new one" in message


async def test_offer_without_a_codec_that_is_read(http: httpx.AsyncClient) -> None:
    offer = (DATA / "damaged" / "sdp-no-codec-in-common.sdp").read_bytes()

    reply = await http.post("/whip", content=offer, headers={"Content-Type": "application/sdp"})

    message = said(reply, 422)
    assert "no video codec in common; taken are vp8, h264" in message


def unknown_codec(path: Path) -> bytes:
    """A clip whose pictures are in a codec that nobody knows."""
    content = write_clip(path / "a.mkv", duration_s=1.0, audio=False).read_bytes()
    assert b"V_MPEG4/ISO/ASP" in content
    return content.replace(b"V_MPEG4/ISO/ASP", b"V_NOBODY/KNOWS/")


def corrupt(path: Path) -> bytes:
    """An mp4 that was cut before its index."""
    return write_clip(path / "a.mp4", duration_s=1.0).read_bytes()[:2000]


def eight_k(path: Path) -> bytes:
    clip = write_clip(path / "a.mp4", duration_s=1.0, fps=1, size=EIGHT_K, audio=False)
    return clip.read_bytes()


@pytest.mark.parametrize(
    ("make", "what", "advice"),
    [
        (unknown_codec, "unknown codec", "convert it to H.264"),
        (corrupt, "damaged", "convert it to MP4"),
        (eight_k, "7680x4320", "scale them"),
        (lambda path: b"", "empty", "send the file itself"),
    ],
    ids=["unsupported codec", "corrupt mp4", "8K", "zero length"],
)
async def test_recording_that_cannot_be_used(
    http: httpx.AsyncClient,
    tmp_path: Path,
    make: Callable[[Path], bytes],
    what: str,
    advice: str,
) -> None:
    path = f"/v1/sessions/{await open_session(http)}/media"

    message = said(await http.put(path, content=make(tmp_path)), 422)

    assert what in message
    assert advice in message


async def test_camera_that_is_not_there(http: httpx.AsyncClient) -> None:
    path = f"/v1/sessions/{await open_session(http)}/sources"
    url = f"rtsp://user:secret@127.0.0.1:{free_port()}/live"
    assert (await http.post(path, json={"url": url})).status_code == 201

    async def reason() -> str:
        [source] = (await http.get(path)).json()["data"]
        return source["reason"] or ""

    async def is_told() -> bool:
        return bool(await reason())

    await eventually(is_told)
    assert "Connection refused" in await reason()
    assert "check its address" in await reason()
    assert "secret" not in await reason()


async def test_silent_sound_is_taken(http: httpx.AsyncClient, tmp_path: Path) -> None:
    path = f"/v1/sessions/{await open_session(http)}"
    silent = write_clip(tmp_path / "a.mp4", duration_s=3.0, level=0.0).read_bytes()

    assert (await http.put(f"{path}/media", content=silent)).status_code == 201

    async def is_over() -> bool:
        [source] = (await http.get(f"{path}/sources")).json()["data"]
        return source["state"] == "ended" and source["reason"] is None

    await eventually(is_over)


@pytest.mark.parametrize(
    ("body", "field", "advice"),
    [
        ({}, "condition", "required"),
        ({"condition": ""}, "condition", "at least 1 character"),
        ({"condition": "?", "threshold": 1.0}, "threshold", "less than 1"),
        ({"condition": "?", "cooldown": 3}, "cooldown", "not permitted"),
        (
            {"condition": "?", "webhook_url": "http://10.0.0.1/"},
            "url",
            "OMNISIFT_RULES__WEBHOOK_HOSTS",
        ),
    ],
    ids=str,
)
async def test_rule_that_is_malformed(
    http: httpx.AsyncClient, body: dict[str, Any], field: str, advice: str
) -> None:
    reply = await http.post(f"/v1/sessions/{await open_session(http)}/rules", json=body)

    error = reply.json()["error"]
    assert reply.status_code in (400, 422)
    assert field in str(error)
    assert advice in error["message"]
