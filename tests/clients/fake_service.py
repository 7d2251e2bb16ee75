"""A small real HTTP server that speaks the wire: the service's own schemas, real WHIP peers.

It knows no model: answers are fixed words, chunks are made up while media arrives.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from tests.clients.fake_answers import add_chat_route, add_query_route
from tests.clients.fake_errors import error
from tests.clients.fake_routes import (
    add_media_routes,
    add_reading_routes,
    add_recording_routes,
    add_session_routes,
    add_source_routes,
)
from tests.clients.fake_state import FakeService, Feed

WEB = Path(__file__).parents[2] / "clients" / "web"


@dataclass
class RunningService:
    """The fake behind a real socket; `stop` and `start` are a crash and a restart on one port."""

    fake: FakeService
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._listener = listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            build_app(self.fake),
            log_config=None,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=0,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[listener])), name="fake-service"
        )
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


@contextmanager
def running(fake: FakeService | None = None) -> Iterator[RunningService]:
    """Serve until the block ends."""
    service = RunningService(fake or FakeService())
    service.start()
    try:
        yield service
    finally:
        service.stop()


def build_app(fake: FakeService) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        ticker = asyncio.create_task(_make_chunks(fake))
        yield
        ticker.cancel()
        for feed in fake.feeds.values():
            for receiver in feed.receivers.values():
                await receiver.close()

    app = FastAPI(lifespan=lifespan)
    app.middleware("http")(_gate(fake))
    add_session_routes(app, fake)
    add_reading_routes(app, fake)
    add_recording_routes(app, fake)
    add_source_routes(app, fake)
    add_query_route(app, fake)
    add_chat_route(app, fake)
    add_media_routes(app, fake)
    if WEB.exists():
        app.mount("/web", StaticFiles(directory=WEB))
        app.get("/")(lambda: FileResponse(WEB / "index.html"))
    return app


def _gate(fake: FakeService) -> Any:
    async def gate(request: Request, proceed: Any) -> Response:
        path = request.url.path
        body = await request.body()
        fake.requests.append((request.method, path, dict(request.headers), body))
        allowed = fake.api_key is None or not path.startswith("/v1")
        if not allowed and request.headers.get("authorization") != f"Bearer {fake.api_key}":
            return error(401, "unauthorized", "a valid API key is needed")
        for (method, suffix), (status, code, headers) in fake.refusals.items():
            if request.method == method and path.endswith(suffix):
                return error(status, code, f"refused: {code}", headers)
        response: Response = await proceed(request)
        return response

    return gate


async def _make_chunks(fake: FakeService) -> None:
    while True:
        await asyncio.sleep(fake.chunk_s)
        for feed in list(fake.feeds.values()):
            if any(
                r.state == "connected" and any(r.frames.values()) for r in feed.receivers.values()
            ):
                if feed.record.status != "live":
                    fake.set_status(feed, "live", started_at_s=1000.0)
                fake.add_chunk(feed)


__all__ = ["FakeService", "Feed", "RunningService", "running"]
