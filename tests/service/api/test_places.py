"""A session's place: kept for a while after it was made, and to be found again after that."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.admission.decision import PLACE_S
from service.api.app import ApiConfig, create_app
from service.clock import steady_clock
from service.sessions.record import SessionConfig, SessionId, SessionStatus
from tests.local import FullBackend, LocalBackend, served

# each is refused for what is wrong with it, once the session has a place
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "offer": (
        "POST",
        "whip",
        {"content": "no SDP", "headers": {"Content-Type": "application/sdp"}},
    ),
    "source": ("POST", "sources", {"json": {"url": "rtsp://nobody.test/"}}),
    "file": ("PUT", "media", {"content": b"", "headers": {"Content-Type": "video/mp4"}}),
}


@pytest.fixture
async def full(light_backend: LocalBackend) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(FullBackend.of(light_backend), ApiConfig())
    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=20.0) as http:
        yield http


async def make(backend: LocalBackend, age_s: float) -> SessionId:
    created_at_s = steady_clock()() - age_s
    return (await backend.store.create(SessionId("s"), SessionConfig("live"), created_at_s)).id


async def send(http: httpx.AsyncClient, name: str, session_id: SessionId) -> httpx.Response:
    method, path, body = REQUESTS[name]
    return await http.request(method, f"/v1/sessions/{session_id}/{path}", **body)


@pytest.mark.parametrize("name", REQUESTS)
async def test_place_is_kept_for_media_that_comes_soon(
    full: httpx.AsyncClient, light_backend: LocalBackend, name: str
) -> None:
    session_id = await make(light_backend, age_s=PLACE_S / 2)

    assert (await send(full, name, session_id)).status_code in (400, 422)


@pytest.mark.parametrize("name", REQUESTS)
async def test_media_that_comes_late_finds_no_place_in_a_full_service(
    full: httpx.AsyncClient, light_backend: LocalBackend, name: str
) -> None:
    session_id = await make(light_backend, age_s=PLACE_S + 1)

    refused = await send(full, name, session_id)

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "at_capacity"
    assert refused.headers["Retry-After"] == "5"
    assert (await light_backend.store.get(session_id)).status is SessionStatus.CREATED


@pytest.mark.parametrize("name", REQUESTS)
async def test_session_that_was_live_comes_back_whenever_it_likes(
    full: httpx.AsyncClient, light_backend: LocalBackend, name: str
) -> None:
    session_id = await make(light_backend, age_s=PLACE_S + 1)
    await light_backend.store.set_status(session_id, SessionStatus.CONNECTING)
    await light_backend.store.start(session_id, steady_clock()())
    await light_backend.store.set_status(session_id, SessionStatus.LIVE)
    await light_backend.store.set_status(session_id, SessionStatus.IDLE)

    assert (await send(full, name, session_id)).status_code in (400, 422)
