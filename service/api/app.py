"""The HTTP application: routes, errors, limits and the page, over any `Backend`."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from service.access.credentials import Credentials
from service.access.keyring import Keyring
from service.access.signing import Signer
from service.api.authority import GuardedApi, authorisation, needs
from service.api.backend import Backend
from service.api.chat import chat_routes
from service.api.clips import Clips, ClipsConfig
from service.api.deadline import WriteDeadline
from service.api.document import document_errors
from service.api.door import door_routes
from service.api.errors import add_error_handlers
from service.api.gate import Gate
from service.api.health import health_routes
from service.api.limits import BodyLimit, BodyLimits
from service.api.questions import question_routes
from service.api.recordings import recording_routes
from service.api.replays import ReplaysConfig, replay_routes
from service.api.rules import rule_routes
from service.api.sessions import feed_routes, history_routes, session_routes
from service.api.sources import source_routes, upload_routes
from service.api.tokens import token_routes
from service.api.traces import TraceContext
from service.api.watchers import Watchers, WatchersConfig
from service.api.whip import endpoint_routes, resource_routes
from service.clock import steady_clock
from service.egress import AllowList

EXPOSED_HEADERS = [
    "Location",
    "ETag",
    "Link",
    "Accept-Post",
    "Accept-Patch",
    "X-Session-Id",
    "Retry-After",
    "WWW-Authenticate",
]


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Limits and defaults of the HTTP side; see `service.settings`.

    Attributes:
        keyring: The API keys; an empty one opens the service to everyone.
        token_secret: Signs session tokens, the same in all replicas.
    """

    default_profile: str = "live"
    bodies: BodyLimits = field(default_factory=BodyLimits)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    write_s: float = 30.0
    watchers: WatchersConfig = field(default_factory=WatchersConfig)
    cors_origins: Sequence[str] = ()
    ice_servers: Sequence[str] = ()
    turn_secret: bytes | None = None
    keyring: Keyring = field(default_factory=Keyring)
    token_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    max_token_ttl_s: float = 86_400.0
    max_rules: int = 16
    max_upload_bytes: int = 256 << 20
    replays: ReplaysConfig = field(default_factory=ReplaysConfig)
    webhook_hosts: AllowList = field(default_factory=lambda: AllowList((), ()))


def create_app(backend: Backend, config: ApiConfig) -> FastAPI:
    """The ASGI application; knows nothing about what runs behind `backend`."""
    app = GuardedApi(
        title="OmniSIFT Live",
        version=version("omnisift-live"),
        description="Live audio-video context for omni-modal LLMs.",
        dependencies=[Depends(authorisation(backend.store))],
    )
    add_error_handlers(app)
    watchers = Watchers(backend.store, config.watchers)
    clock = steady_clock()
    credentials = Credentials(config.keyring, Signer(config.token_secret))
    app.include_router(session_routes(backend, clock, default_profile=config.default_profile))
    app.include_router(history_routes(backend))
    app.include_router(feed_routes(backend, watchers))
    app.include_router(
        endpoint_routes(
            backend,
            clock,
            default_profile=config.default_profile,
            ice_servers=config.ice_servers,
            turn_secret=config.turn_secret,
        )
    )
    app.include_router(resource_routes(backend))
    app.include_router(recording_routes(backend))
    app.include_router(replay_routes(backend, clock, config.replays))
    app.include_router(question_routes(backend))
    clips = Clips(backend, clock, config.clips, default_profile=config.default_profile)
    app.include_router(chat_routes(backend, clock, clips))
    app.include_router(token_routes(backend, credentials, clock, max_ttl_s=config.max_token_ttl_s))
    app.include_router(
        rule_routes(backend, clock, max_rules=config.max_rules, webhook_hosts=config.webhook_hosts)
    )
    app.include_router(source_routes(backend, clock))
    app.include_router(upload_routes(backend, clock, max_bytes=config.max_upload_bytes))
    app.include_router(door_routes(credentials, clock))
    app.include_router(health_routes(backend))
    _add_page(app)
    _document(app)
    # the last one added comes first: CORS, the deadline, the gate, the body, the trace
    app.add_middleware(TraceContext)
    app.add_middleware(BodyLimit, limits=config.bodies)
    app.add_middleware(Gate, credentials=credentials, clock=clock)
    app.add_middleware(WriteDeadline, write_s=config.write_s)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "Last-Event-ID"],
            expose_headers=EXPOSED_HEADERS,
        )
    return app


def _document(app: FastAPI) -> None:
    """Let `/openapi.json` tell how routes refuse; made once, when first asked for."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document_errors(generate())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _add_page(app: FastAPI) -> None:
    web = files("clients") / "web"
    app.mount("/web", StaticFiles(directory=str(web)), name="web")

    @app.get("/", include_in_schema=False, openapi_extra=needs())
    async def page() -> FileResponse:
        return FileResponse(str(web / "index.html"))
