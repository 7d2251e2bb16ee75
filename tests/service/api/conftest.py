"""The HTTP side over real workers: one process, real Redis, real weights (untrained)."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import torch

from clients.sdk import AsyncClient
from compressor.omni.tiny import write_tiny_checkpoint
from service.api import app as app_module
from service.api.app import ApiConfig, create_app
from service.api.watchers import WatchersConfig
from service.clock import steady_clock
from service.ingest.config import IngestConfig
from service.ingest.liveness import LivenessConfig
from service.sessions.record import SessionId
from tests.eventually import eventually
from tests.local import LocalBackend, fake_backend, local_backend, served
from tests.media import make_audio, make_video
from tests.service.api.keys import KEYRING, bearer


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "stand-in")


@pytest.fixture
async def backend(redis_url: str, checkpoint: Path) -> AsyncIterator[LocalBackend]:
    patient = IngestConfig(liveness=LivenessConfig(no_media_s=60, idle_s=60, silent_s=60))
    async with local_backend(redis_url, checkpoint, ingest_config=patient) as backend:
        yield backend


@pytest.fixture
async def url(backend: LocalBackend) -> AsyncIterator[str]:
    config = ApiConfig(
        watchers=WatchersConfig(keep_alive_s=0.2, max_streams=2),
        ice_servers=["stun:stun.test:3478"],
    )
    async with served(create_app(backend, config)) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=20.0) as http:
        yield http


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url) as client:
        yield client


@pytest.fixture
def elapse(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the clock of the HTTP side forward; ask for it before the service is made."""
    passed_s = 0.0
    real = steady_clock()
    monkeypatch.setattr(app_module, "steady_clock", lambda: lambda: real() + passed_s)

    def forward(seconds: float) -> None:
        nonlocal passed_s
        passed_s += seconds

    return forward


@pytest.fixture
async def light_backend(redis_url: str) -> AsyncIterator[LocalBackend]:
    async with fake_backend(redis_url) as backend:
        yield backend


@pytest.fixture
async def guarded(
    light_backend: LocalBackend, elapse: Callable[[float], None]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that has API keys; it shows none by itself."""
    app = create_app(
        light_backend, ApiConfig(keyring=KEYRING, watchers=WatchersConfig(keep_alive_s=0.2))
    )
    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=20.0) as http:
        yield http


async def created(http: httpx.AsyncClient, key_id: str) -> str:
    """The id of a new session of this key."""
    response = await http.post("/v1/sessions", headers=bearer(key_id) if key_id else {})
    assert response.status_code == 201
    return str(response.json()["id"])


class Streamer:
    """Feeds seconds of made-up media into a session, faster than real time."""

    def __init__(self, backend: LocalBackend, client: AsyncClient) -> None:
        self._backend = backend
        self._client = client

    async def session(self, *, seconds: int = 4, **options: str) -> str:
        """A new session with this much media in its context."""
        session = await self._client.create_session(**options)  # type: ignore[arg-type]
        await self.feed(session.id, seconds=seconds)
        return session.id

    async def feed(self, session_id: str, *, seconds: int) -> None:
        feed = await self._backend.ingest.feed(SessionId(session_id))
        frames = [*make_video(0.0, seconds, fps=2.0), *make_audio(0.0, seconds)]
        for frame in sorted(frames, key=lambda frame: frame.pts_s):
            feed.push(frame)
        await feed.aclose()
        await eventually(lambda: self._has(session_id, seconds // 2))

    async def _has(self, session_id: str, num_chunks: int) -> bool:
        session = await self._client.get_session(session_id)
        return session.chunks >= num_chunks and session.status == "idle"


@pytest.fixture
def streamer(backend: LocalBackend, client: AsyncClient) -> Streamer:
    return Streamer(backend, client)
