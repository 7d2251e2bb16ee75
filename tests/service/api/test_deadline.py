"""Clients that stop reading, on real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from service.api.app import ApiConfig, create_app
from service.api.asking import Items
from service.api.watchers import WatchersConfig
from service.events import Event
from service.llm.engine import Question, TokenDelta
from service.sessions.record import SessionId
from tests.eventually import eventually
from tests.fakes import FakeLLM
from tests.local import LocalBackend, served

PIECE = "x" * 65_536
NUM_PIECES = 2_000  # 128 MB: no buffer of a socket holds that


class Talkative(FakeLLM):
    """Says very much, and remembers how far it came."""

    def __init__(self) -> None:
        super().__init__()
        self.num_said = 0
        self.is_cut = False

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> Items:
        try:
            for _ in range(NUM_PIECES):
                self.num_said += 1
                yield TokenDelta(PIECE, 1)
        finally:
            self.is_cut = self.num_said < NUM_PIECES


@asynccontextmanager
async def deaf(url: str, method: str, path: str, body: bytes = b"") -> AsyncIterator[None]:
    """A client that sends its request and reads nothing."""
    address = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (address.hostname, address.port))
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n\r\n"
        await loop.sock_sendall(connection, (head + kind).encode() + body)
        yield


@pytest.fixture
def config() -> ApiConfig:
    watchers = WatchersConfig(keep_alive_s=5.0, max_streams=1, max_stream_bytes=1 << 30)
    return ApiConfig(watchers=watchers, write_s=0.3)


async def test_asker_who_does_not_read_is_cut_off_and_the_answer_cancelled(
    light_backend: LocalBackend, config: ApiConfig
) -> None:
    llm = Talkative()
    backend = replace(light_backend, llm=llm)
    async with (
        served(create_app(backend, config)) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        session_id = (await http.post("/v1/sessions")).json()["id"]
        body = json.dumps({"question": "what?", "stream": True}).encode()
        async with deaf(url, "POST", f"/v1/sessions/{session_id}/query", body):
            await eventually(lambda: llm.is_cut)
            assert (await http.get("/healthz")).status_code == 200  # nobody else notices

    assert llm.num_said * len(PIECE) < 32 << 20


async def test_watcher_who_does_not_read_gives_its_place_to_another(
    light_backend: LocalBackend, config: ApiConfig
) -> None:
    async with (
        served(create_app(light_backend, config)) as url,
        httpx.AsyncClient(base_url=url, timeout=10.0) as http,
    ):
        session_id = (await http.post("/v1/sessions")).json()["id"]
        path = f"/v1/sessions/{session_id}/events"

        async def status() -> int:
            async with http.stream("GET", path) as response:
                return response.status_code

        async with deaf(url, "GET", path):
            await asyncio.sleep(0.1)
            assert await status() == 503
            for number in range(256):  # 16 MB
                event = Event("dropped", session_id, 1.0, {"index": number, "reason": PIECE})
                await light_backend.store.publish(event)

            async def is_free() -> bool:
                return await status() == 200

            await eventually(is_free)
