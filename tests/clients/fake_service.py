"""A small real HTTP server that speaks the wire: the service's own schemas, real WHIP peers.

It knows no model: answers are fixed words, chunks are made up while media arrives.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from service.api import chat_schemas, schemas
from service.api.replays import replay_events
from service.api.source_schemas import CreateSource, Source, SourceList
from service.errors import ServiceError
from service.ingest.playback import Speed
from service.ingest.recording.report import ReplayItem
from service.sessions.record import SessionId
from tests.clients.receiver import Receiver
from tests.clients.replays import make_begun

WEB = Path(__file__).parents[2] / "clients" / "web"
GRID = (6, 8)


@dataclass
class Feed:
    """A session as the fake holds it."""

    record: schemas.Session
    receivers: dict[str, Receiver] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    turns: list[schemas.TurnItem] = field(default_factory=list)

    def add_event(self, type_: str, **data: Any) -> None:
        common = {"type": type_, "session_id": self.record.id, "at_s": 1000.0 + len(self.events)}
        self.events.append((type_, common | data))


@dataclass
class FakeService:
    """State and switches that tests set.

    Attributes:
        words: What every answer says.
        refusals: (method, path suffix) -> (status, code, headers): refuse such requests.
        chunk_s: How often a chunk appears while media arrives.
        recording: Pieces of every recording.
        replayed: What comes of every replay; an error ends it.
        word_gap_s: Pause between two words of a streamed answer.
        ice_links: The Link header that names STUN and TURN servers.
        played: How an upload ends once it was asked about, (state, reason); None: it goes on.
        events_per_connection: Close the event feed after so many, as a failing proxy would.
    """

    words: tuple[str, ...] = ("a", " red", " circle")
    recording: tuple[bytes, ...] = (b"media", b'{"reason":"seconds","crc32":1,"type":"end"}')
    replayed: tuple[ReplayItem | ServiceError, ...] = ()
    api_key: str | None = None
    chunk_s: float = 0.3
    word_gap_s: float = 0.0
    ice_links: str = ""
    played: tuple[Literal["ended", "failed"], str | None] | None = None
    events_per_connection: int | None = None
    refusals: dict[tuple[str, str], tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    rules: dict[str, schemas.CreatedRule] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    uploads: list[tuple[str, bytes]] = field(default_factory=list)
    anyway: list[bool] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def feed(self, session_id: str | None = None) -> Feed:
        return self.feeds[session_id] if session_id else next(reversed(self.feeds.values()))

    def bodies(self, method: str, suffix: str) -> list[dict[str, Any]]:
        return [
            json.loads(body)
            for verb, path, _, body in self.requests
            if verb == method and path.endswith(suffix)
        ]

    def create(self, **options: Any) -> Feed:
        id_ = f"s{len(self.feeds)}"
        feed = Feed(_record(id_, options))
        self.feeds[id_] = feed
        feed.add_event("session.created")
        return feed

    def add_chunk(self, feed: Feed) -> None:
        record, index = feed.record, feed.record.chunks
        rows, columns = GRID
        kept = [[(index + 3 * i) % (rows * columns) for i in range(12)] for _ in range(2)]
        tokens = schemas.Tokens.model_validate(
            {"video": {"in": 2 * rows * columns, "kept": 24}, "audio": {"in": 50, "kept": 25}}
        )
        record.chunks, record.stream_s, record.lag_s = index + 1, 2.0 * (index + 1), 1.25
        for modality in ("video", "audio"):
            total, more = getattr(record.tokens, modality), getattr(tokens, modality)
            total.in_ += more.in_
            total.kept += more.kept
        total_in = record.tokens.video.in_ + record.tokens.audio.in_
        record.keep_ratio = (record.tokens.video.kept + record.tokens.audio.kept) / total_in
        feed.add_event(
            "chunk",
            index=index,
            start_s=2.0 * index,
            end_s=2.0 * index + 2.0,
            tokens=tokens.model_dump(by_alias=True),
            kept={"video": [sorted(grid) for grid in kept], "audio": list(range(0, 50, 2))},
            grid_sizes=[list(GRID)] * 2,
            lag_s=1.25,
            stages_s={"encode": 0.2, "compress": 0.01, "prefill": 0.1},
            skew_s=0.01,
            gaps=[],
        )

    def set_status(self, feed: Feed, status: str, **data: Any) -> None:
        feed.record.status = status  # type: ignore[assignment]  # statuses of the schema, as text
        feed.add_event(f"session.{status}", **data)


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
    _add_session_routes(app, fake)
    _add_reading_routes(app, fake)
    _add_recording_routes(app, fake)
    _add_source_routes(app, fake)
    _add_query_route(app, fake)
    _add_chat_route(app, fake)
    _add_media_routes(app, fake)
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
            return _error(401, "unauthorized", "a valid API key is needed")
        for (method, suffix), (status, code, headers) in fake.refusals.items():
            if request.method == method and path.endswith(suffix):
                return _error(status, code, f"refused: {code}", headers)
        response: Response = await proceed(request)
        return response

    return gate


def _add_session_routes(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions", status_code=201)
    async def create(body: schemas.CreateSession) -> schemas.Session:
        return fake.create(profile=body.profile, metadata=body.metadata).record

    @app.get("/v1/sessions")
    async def list_() -> schemas.SessionList:
        return schemas.SessionList(data=[feed.record for feed in reversed(fake.feeds.values())])

    @app.get("/v1/sessions/{id_}")
    async def get(id_: str) -> Any:
        return fake.feeds[id_].record if id_ in fake.feeds else _missing(id_)

    @app.get("/healthz")
    @app.get("/readyz")
    async def health() -> schemas.Health:
        return schemas.Health(status="ok")

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response("omnisift_tasks 1\n")

    @app.get("/v1/models")
    async def models() -> chat_schemas.ModelList:
        return chat_schemas.ModelList(data=[chat_schemas.Model(id="omnisift-tiny", created=1000)])

    @app.post("/v1/sessions/{id_}/tokens", status_code=201)
    async def mint(id_: str, body: schemas.CreateToken) -> schemas.SessionToken:
        return schemas.SessionToken(
            token=f"ost_{id_}", session_id=id_, scopes=list(body.scopes), expires_at_s=body.ttl_s
        )

    @app.delete("/v1/sessions/{id_}")
    async def end(id_: str) -> Response:
        if id_ not in fake.feeds:
            return _missing(id_)
        fake.feeds[id_].record.end_reason = "deleted"
        fake.set_status(fake.feeds[id_], "ended", reason="deleted")
        return Response(status_code=204)


def _add_recording_routes(app: FastAPI, fake: FakeService) -> None:
    @app.get("/v1/sessions/{id_}/recording")
    async def recording(id_: str, seconds: float = 60.0) -> StreamingResponse:
        return StreamingResponse(iter(fake.recording), media_type="video/x-matroska")

    @app.post("/v1/replays")
    async def replay(request: Request, anyway: bool = False) -> StreamingResponse:
        fake.uploads.append((request.headers["content-type"], await request.body()))
        fake.anyway.append(anyway)
        events = replay_events(
            SessionId("s_again"), make_begun(), _played(fake.replayed), "omnisift-tiny"
        )
        return StreamingResponse(events, media_type="text/event-stream")


async def _played(
    items: tuple[ReplayItem | ServiceError, ...],
) -> AsyncGenerator[ReplayItem, None]:
    for item in items:
        if isinstance(item, ServiceError):
            raise item
        yield item


def _add_reading_routes(app: FastAPI, fake: FakeService) -> None:
    @app.get("/v1/sessions/{id_}/turns")
    async def turns(id_: str) -> Any:
        if id_ not in fake.feeds:
            return _missing(id_)
        return schemas.TurnList(data=fake.feeds[id_].turns)

    @app.get("/v1/sessions/{id_}/timeline")
    async def timeline(id_: str) -> schemas.Timeline:
        chunks = [data for type_, data in fake.feeds[id_].events if type_ == "chunk"]
        marks = {"held": None, "cuts_s": [], "onsets_s": []}
        chunks = [{**marks, "has_thumbnail": True, **chunk} for chunk in chunks]
        fields = {"session_id": id_, "chunks": chunks, "questions": []}
        return schemas.Timeline.model_validate(fields)

    @app.get("/v1/sessions/{id_}/chunks/{index}/thumbnail")
    async def thumbnail(id_: str, index: int) -> Response:
        return Response(b"jpeg of %d" % index, media_type="image/jpeg")

    @app.post("/v1/sessions/{id_}/rules", status_code=201)
    async def create_rule(id_: str, body: schemas.CreateRule) -> schemas.CreatedRule:
        rule = schemas.CreatedRule(
            **body.model_dump(),
            id=f"r{len(fake.rules)}",
            created_at_s=1000.0,
            webhook_secret=body.webhook_url and "whsec_fake",
        )
        fake.rules[rule.id] = rule
        return rule

    @app.get("/v1/sessions/{id_}/rules")
    async def list_rules(id_: str) -> schemas.RuleList:
        return schemas.RuleList(data=list(fake.rules.values()))

    @app.delete("/v1/sessions/{id_}/rules/{rule_id}", status_code=204)
    async def delete_rule(id_: str, rule_id: str) -> Response:
        gone = fake.rules.pop(rule_id, None)
        return Response(status_code=204) if gone else _missing(rule_id)

    @app.get("/v1/sessions/{id_}/events")
    async def events(id_: str, request: Request, replay: int = 1) -> Any:
        if id_ not in fake.feeds:
            return _missing(id_)
        last = request.headers.get("last-event-id")
        feed = fake.feeds[id_]
        start = int(last) + 1 if last else (0 if replay else len(feed.events))
        return StreamingResponse(_tell(fake, feed, start), media_type="text/event-stream")


def _add_source_routes(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions/{id_}/sources", status_code=201)
    async def add_source(id_: str, body: CreateSource) -> Source:
        return _add_source(fake, body.url, body.speed)

    @app.get("/v1/sessions/{id_}/sources")
    async def list_sources(id_: str) -> SourceList:
        if fake.played is not None and fake.feeds[id_].record.chunks == 0:
            fake.add_chunk(fake.feeds[id_])
        for source in fake.sources.values():
            if fake.played is not None:
                source.state, source.reason = fake.played
        return SourceList(data=list(fake.sources.values()))

    @app.delete("/v1/sessions/{id_}/sources/{source_id}", status_code=204)
    async def remove_source(id_: str, source_id: str) -> Response:
        gone = fake.sources.pop(source_id, None)
        return Response(status_code=204) if gone else _missing(source_id)

    @app.put("/v1/sessions/{id_}/media", status_code=201)
    async def upload(id_: str, request: Request, speed: Speed = "realtime") -> Source:
        fake.uploads.append((request.headers["content-type"], await request.body()))
        return _add_source(fake, None, speed)


def _add_source(fake: FakeService, url: str | None, speed: Speed) -> Source:
    id_ = f"src_{len(fake.sources)}"
    source = Source(id=id_, url=url, speed=speed, state="connecting", reason=None, since_s=1.0)
    fake.sources[id_] = source
    return source


def _add_query_route(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions/{id_}/query")
    async def query(id_: str, body: schemas.Query) -> Any:
        if id_ not in fake.feeds:
            return _missing(id_)
        feed = fake.feeds[id_]
        if not feed.record.chunks:
            return _error(409, "no_media_yet", "no media yet", retryable=True)
        answer = _answer(fake, feed, body)
        turn = schemas.TurnItem(
            **answer.model_dump(include={*schemas.TurnItem.model_fields}), asked_at_s=1.0
        )
        feed.turns.append(turn)
        feed.add_event("turn", **turn.model_dump())
        if not body.stream:
            return answer
        return StreamingResponse(_speak(fake, answer), media_type="text/event-stream")


def _add_chat_route(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/chat/completions")
    async def complete(body: chat_schemas.ChatCompletionRequest) -> Any:
        tokens = {"video": {"in": 32, "kept": 15}, "audio": {"in": 0, "kept": 0}}
        usage = {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43, "stream": tokens}
        head = {"id": "chatcmpl-0", "created": 1000, "model": "omnisift-tiny"}
        if body.stream:
            told = _complete(fake, head, usage)
            return StreamingResponse(told, media_type="text/event-stream")
        message = {"role": "assistant", "content": "".join(fake.words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


async def _complete(
    fake: FakeService, head: dict[str, Any], usage: dict[str, Any]
) -> AsyncIterator[str]:
    for word in fake.words:
        if word == "<break>":
            return
        if word == "<fail>":
            body = {"code": "engine_unavailable", "message": "the engine died", "type": "server"}
            yield f"data: {json.dumps({'error': body})}\n\n"
            return
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
        await asyncio.sleep(fake.word_gap_s)
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps({**head, 'choices': [end]})}\n\n"
    yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _add_media_routes(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions/{id_}/whip")
    async def offer(id_: str, request: Request) -> Response:
        if id_ not in fake.feeds:
            return _missing(id_)
        feed = fake.feeds[id_]
        resource = f"r{len(feed.receivers)}"
        feed.receivers[resource] = receiver = Receiver()
        sdp = await receiver.answer((await request.body()).decode())
        headers = {"location": f"/v1/sessions/{id_}/whip/{resource}", "etag": '"1"'}
        return Response(sdp, 201, headers, media_type="application/sdp")

    @app.options("/whip")
    @app.options("/v1/sessions/{id_}/whip")
    async def options(id_: str | None = None) -> Response:
        return Response(headers={"accept-post": "application/sdp", "link": fake.ice_links})

    @app.get("/v1/sessions/{id_}/whip/{resource}")
    async def check(id_: str, resource: str) -> Response:
        return Response(status_code=204)

    @app.delete("/v1/sessions/{id_}/whip/{resource}")
    async def stop(id_: str, resource: str) -> Response:
        feed = fake.feeds[id_]
        await feed.receivers[resource].close()
        if feed.record.status == "live":
            fake.set_status(feed, "idle", reason="publisher left")
        return Response(status_code=200)


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


async def _tell(fake: FakeService, feed: Feed, start: int) -> AsyncIterator[str]:
    sent = 0
    yield ": hello\n\n"
    while True:
        for index in range(start, len(feed.events)):
            type_, data = feed.events[index]
            yield f"id: {index}\nevent: {type_}\ndata: {json.dumps(data)}\n\n"
            start, sent = index + 1, sent + 1
            if sent == fake.events_per_connection:
                return
        if feed.record.status == "ended":
            return
        await asyncio.sleep(0.01)


async def _speak(fake: FakeService, answer: schemas.Answer) -> AsyncIterator[str]:
    for word in fake.words:
        if word == "<break>":
            return
        if word == "<fail>":
            body = {"code": "engine_unavailable", "message": "the engine died", "retryable": True}
            yield f"event: error\ndata: {json.dumps({'error': body})}\n\n"
            return
        yield f"event: token\ndata: {json.dumps({'text': word})}\n\n"
        await asyncio.sleep(fake.word_gap_s)
    yield f"event: answer\ndata: {answer.model_dump_json(by_alias=True)}\n\n"


def _answer(fake: FakeService, feed: Feed, body: schemas.Query) -> schemas.Answer:
    usage = {
        "prompt_tokens": 90,
        "completion_tokens": 3,
        "total_tokens": 93,
        "stream": feed.record.tokens,
    }
    return schemas.Answer(
        id=f"q{len(feed.turns)}",
        session_id=feed.record.id,
        question=body.question,
        answer="".join(fake.words),
        finish_reason="stop",
        context_start_s=max(0.0, feed.record.stream_s - (body.window_s or 1e9)),
        context_end_s=feed.record.stream_s,
        spans=[],
        ttft_s=0.12,
        duration_s=0.2,
        usage=schemas.Usage.model_validate(usage),
    )


def _record(id_: str, options: dict[str, Any]) -> schemas.Session:
    zero = {"in": 0, "kept": 0}
    path = f"/v1/sessions/{id_}"
    return schemas.Session.model_validate(
        {
            "id": id_,
            "status": "created",
            "profile": options.get("profile") or "live",
            "keep_ratio": None,
            "created_at_s": 1000.0,
            "started_at_s": None,
            "ended_at_s": None,
            "end_reason": None,
            "chunks": 0,
            "stream_s": 0.0,
            "lag_s": None,
            "tokens": {"video": zero, "audio": zero},
            "metadata": options.get("metadata") or {},
            "links": {
                "self": path,
                "whip": f"{path}/whip",
                "query": f"{path}/query",
                "events": f"{path}/events",
            },
        }
    )


def _missing(id_: str) -> Response:
    return _error(404, "session_not_found", f"no session {id_!r}")


def _error(
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    *,
    retryable: bool = False,
) -> Response:
    body = {"code": code, "message": message, "retryable": retryable or status >= 502}
    return JSONResponse({"error": body}, status, headers)
