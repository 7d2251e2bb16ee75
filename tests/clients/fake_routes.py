"""The fake service's routes, apart from those that answer a question."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from service.api import chat_schemas, schemas
from service.api.replays import replay_events
from service.api.source_schemas import CreateSource, Source, SourceList
from service.errors import ServiceError
from service.ingest.playback import Speed
from service.ingest.recording.report import ReplayItem
from service.sessions.record import SessionId
from tests.clients.fake_errors import missing
from tests.clients.fake_state import FakeService, Feed
from tests.clients.receiver import Receiver
from tests.clients.replays import make_begun


def add_session_routes(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions", status_code=201)
    async def create(body: schemas.CreateSession) -> schemas.Session:
        return fake.create(profile=body.profile, metadata=body.metadata).record

    @app.get("/v1/sessions")
    async def list_() -> schemas.SessionList:
        return schemas.SessionList(data=[feed.record for feed in reversed(fake.feeds.values())])

    @app.get("/v1/sessions/{id_}")
    async def get(id_: str) -> Any:
        return fake.feeds[id_].record if id_ in fake.feeds else missing(id_)

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
            return missing(id_)
        fake.feeds[id_].record.end_reason = "deleted"
        fake.set_status(fake.feeds[id_], "ended", reason="deleted")
        return Response(status_code=204)


def add_reading_routes(app: FastAPI, fake: FakeService) -> None:
    @app.get("/v1/sessions/{id_}/turns")
    async def turns(id_: str) -> Any:
        if id_ not in fake.feeds:
            return missing(id_)
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
        return Response(status_code=204) if gone else missing(rule_id)

    @app.get("/v1/sessions/{id_}/events")
    async def events(id_: str, request: Request, replay: int = 1) -> Any:
        if id_ not in fake.feeds:
            return missing(id_)
        last = request.headers.get("last-event-id")
        feed = fake.feeds[id_]
        start = int(last) + 1 if last else (0 if replay else len(feed.events))
        return StreamingResponse(_tell(fake, feed, start), media_type="text/event-stream")


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


def add_recording_routes(app: FastAPI, fake: FakeService) -> None:
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


def add_source_routes(app: FastAPI, fake: FakeService) -> None:
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
        return Response(status_code=204) if gone else missing(source_id)

    @app.put("/v1/sessions/{id_}/media", status_code=201)
    async def upload(id_: str, request: Request, speed: Speed = "realtime") -> Source:
        fake.uploads.append((request.headers["content-type"], await request.body()))
        return _add_source(fake, None, speed)


def _add_source(fake: FakeService, url: str | None, speed: Speed) -> Source:
    id_ = f"src_{len(fake.sources)}"
    source = Source(id=id_, url=url, speed=speed, state="connecting", reason=None, since_s=1.0)
    fake.sources[id_] = source
    return source


def add_media_routes(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions/{id_}/whip")
    async def offer(id_: str, request: Request) -> Response:
        if id_ not in fake.feeds:
            return missing(id_)
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
