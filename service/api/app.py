"""The HTTP application: routes, errors, limits and the page, over any `Backend`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from service.api.backend import Backend
from service.api.chat import chat_routes
from service.api.errors import add_error_handlers
from service.api.health import health_routes
from service.api.limits import BodyLimit
from service.api.questions import question_routes
from service.api.sessions import history_routes, session_routes
from service.api.watchers import Watchers
from service.api.whip import endpoint_routes, resource_routes
from service.clock import steady_clock

EXPOSED_HEADERS = ["Location", "ETag", "Link", "Accept-Post", "Accept-Patch", "X-Session-Id"]


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Limits and defaults of the HTTP side; see `service.settings.ApiSettings`."""

    default_profile: str = "live"
    max_json_bytes: int = 1 << 20
    max_sdp_bytes: int = 64 << 10
    keep_alive_s: float = 15.0
    max_event_streams: int = 256
    cors_origins: Sequence[str] = ()
    ice_servers: Sequence[str] = ()


def create_app(backend: Backend, config: ApiConfig) -> FastAPI:
    """The ASGI application; knows nothing about what runs behind `backend`."""
    app = FastAPI(
        title="OmniSIFT Live",
        version=version("omnisift-live"),
        description="Live audio-video context for omni-modal LLMs.",
    )
    add_error_handlers(app)
    watchers = Watchers(
        backend.store, keep_alive_s=config.keep_alive_s, max_streams=config.max_event_streams
    )
    clock = steady_clock()
    app.include_router(session_routes(backend, clock, default_profile=config.default_profile))
    app.include_router(history_routes(backend, watchers))
    app.include_router(
        endpoint_routes(
            backend,
            clock,
            default_profile=config.default_profile,
            ice_servers=config.ice_servers,
        )
    )
    app.include_router(resource_routes(backend))
    app.include_router(question_routes(backend))
    app.include_router(chat_routes(backend, clock))
    app.include_router(health_routes(backend))
    _add_page(app)
    app.add_middleware(BodyLimit, json_bytes=config.max_json_bytes, sdp_bytes=config.max_sdp_bytes)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "Last-Event-ID"],
            expose_headers=EXPOSED_HEADERS,
        )
    return app


def _add_page(app: FastAPI) -> None:
    web = files("clients") / "web"
    app.mount("/web", StaticFiles(directory=str(web)), name="web")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(str(web / "index.html"))
