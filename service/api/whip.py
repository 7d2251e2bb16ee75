"""WHIP routes (RFC 9725): the HTTP half of publishing; rules in `service.ingest.whip`."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from service.access.caller import Scope
from service.access.turn import turn_credentials
from service.api import schemas
from service.api.authority import CallerOf, needs
from service.api.backend import Backend
from service.api.sessions import create_session, held_place
from service.clock import Clock
from service.errors import ServiceError
from service.ingest import whip
from service.ingest.whip import WhipAnswer
from service.sessions.record import SessionId

ENDPOINT = "/v1/sessions/{session_id}/whip"
RESOURCE = "/v1/sessions/{session_id}/whip/{resource_id}"
PUBLISHERS = needs(Scope.PUBLISH)
CREATED_HEADERS = ("Location", "ETag", "Link", "Accept-Patch", "X-Session-Id")


def _text(media_type: str) -> dict[str, Any]:
    """OpenAPI content of this type."""
    return {"content": {media_type: {"schema": {"type": "string"}}}}


ANSWER: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "the SDP answer, all candidates included",
        "headers": {name: {"schema": {"type": "string"}} for name in CREATED_HEADERS},
        **_text(whip.SDP_TYPE),
    }
}
OFFERS = PUBLISHERS | {"requestBody": {"required": True, **_text(whip.SDP_TYPE)}}
FRAGMENTS = PUBLISHERS | {"requestBody": {"required": True, **_text(whip.FRAGMENT_TYPE)}}


def endpoint_routes(
    backend: Backend,
    clock: Clock,
    *,
    default_profile: str,
    ice_servers: Sequence[str] = (),
    turn_secret: bytes | None = None,
) -> APIRouter:
    """The URLs that take offers.

    Args:
        backend: The service behind.
        clock: Unix time.
        default_profile: Of sessions made here.
        ice_servers: STUN and TURN URLs that clients are told of.
        turn_secret: Shared with the TURN servers; clients get credentials made from it.
    """
    router = APIRouter(tags=["whip"])

    def ice_links() -> list[str]:
        return [_ice_link(url, turn_secret, clock()) for url in ice_servers]

    @router.post(
        "/whip", status_code=201, response_class=Response, responses=ANSWER, openapi_extra=OFFERS
    )
    async def publish_new(request: Request, caller: CallerOf) -> Response:
        """Create a session with the default profile and publish to it."""
        offer = await _body(request, whip.SDP_TYPE)
        defaults = schemas.CreateSession()
        session = await create_session(backend, caller, defaults, default_profile, clock())
        session_id = SessionId(session.id)
        try:
            answer = await backend.ingest.offer(session_id, offer)
        except ServiceError:
            await backend.ingest.end(session_id, "offer_rejected")
            raise
        return _created(session_id, answer, ice_links())

    @router.post(
        ENDPOINT, status_code=201, response_class=Response, responses=ANSWER, openapi_extra=OFFERS
    )
    async def publish(session_id: str, request: Request) -> Response:
        """Publish to a session: an SDP offer in, the answer with all candidates out."""
        offer = await _body(request, whip.SDP_TYPE)
        async with held_place(backend, session_id, clock()) as place:
            return _created(place, await backend.ingest.offer(place, offer), ice_links())

    @router.options("/whip", include_in_schema=False, openapi_extra=PUBLISHERS)
    @router.options(ENDPOINT, include_in_schema=False, openapi_extra=PUBLISHERS)
    async def options() -> Response:
        return Response(status_code=200, headers=whip.endpoint_headers(ice_links()))

    @router.get("/whip", include_in_schema=False, openapi_extra=PUBLISHERS)
    @router.get(ENDPOINT, include_in_schema=False, openapi_extra=PUBLISHERS)
    async def nothing() -> Response:
        return Response(status_code=204)

    return router


def _ice_link(url: str, turn_secret: bytes | None, now_s: float) -> str:
    if turn_secret is None or not url.startswith(("turn:", "turns:")):
        return whip.ice_server_link(url)
    made = turn_credentials(turn_secret, "publisher", now_s)
    return whip.ice_server_link(url, username=made.username, credential=made.credential)


def resource_routes(backend: Backend) -> APIRouter:
    """The URL of one publisher's connection."""
    router = APIRouter(tags=["whip"])

    @router.patch(RESOURCE, status_code=204, openapi_extra=FRAGMENTS)
    async def trickle(session_id: str, resource_id: str, request: Request) -> Response:
        """Add ICE candidates; ICE restarts are answered 422."""
        fragment = await _body(request, whip.FRAGMENT_TYPE)
        record = await backend.store.get(SessionId(session_id))
        if_match = request.headers.get("If-Match")
        await backend.ingest.trickle(record.id, resource_id, fragment, if_match)
        return Response(status_code=204)

    @router.delete(RESOURCE, openapi_extra=PUBLISHERS)
    async def hangup(session_id: str, resource_id: str) -> Response:
        """Stop publishing; the session and its context stay, and can be published to again."""
        record = await backend.store.get(SessionId(session_id))
        await backend.ingest.hangup(record.id, resource_id)
        return Response(status_code=200)

    @router.options(RESOURCE, include_in_schema=False, openapi_extra=PUBLISHERS)
    async def options() -> Response:
        return Response(status_code=200, headers=whip.resource_headers())

    @router.get(RESOURCE, status_code=204, openapi_extra=PUBLISHERS)
    async def check(session_id: str, resource_id: str) -> Response:
        """Whether this connection is still held: a publisher asks when it hears nothing."""
        record = await backend.store.get(SessionId(session_id))
        await backend.ingest.check(record.id, resource_id)
        return Response(status_code=204)

    return router


def _created(session_id: SessionId, answer: WhipAnswer, ice_links: Sequence[str]) -> Response:
    path = f"/v1/sessions/{session_id}"
    links = [
        whip.link(f"{path}/events", whip.EVENTS_REL),
        whip.link(f"{path}/query", whip.QUERY_REL),
        *ice_links,
    ]
    location = f"{path}/whip/{answer.resource_id}"
    headers = whip.created_headers(answer, location=location, links=links)
    return Response(
        answer.sdp,
        201,
        headers={**headers, "X-Session-Id": session_id},
        media_type=whip.SDP_TYPE,
    )


async def _body(request: Request, content_type: str) -> str:
    whip.check_content_type(request.headers.get("Content-Type"), content_type)
    return (await request.body()).decode("utf-8", errors="replace")
