"""WHIP requests (RFC 9725) as values. Knows nothing about media or about aiortc."""

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin

from clients.sdk.calls import Call, Reply, no_answer, session_path
from clients.sdk.errors import MalformedAnswer

SDP = "application/sdp"


@dataclass(frozen=True, slots=True)
class WhipResource:
    """What the service made of an offer.

    Attributes:
        url: The WHIP session; DELETE it to stop publishing.
        answer_sdp: For the peer that made the offer.
    """

    url: str
    answer_sdp: str


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server that the service names.

    Attributes:
        url: As `stun:host:port` or `turn:host:port?transport=udp`.
        username: Of TURN; it and the credential expire.
    """

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


def ice_servers(session_id: str | None = None) -> Call[tuple[IceServer, ...]]:
    """Ask which STUN and TURN servers publishers may use. Source: RFC 9725, section 4.6."""
    path = "whip" if session_id is None else f"{session_path(session_id)}/whip"
    return Call("OPTIONS", path, lambda reply: _read_links(reply.headers.get("link", "")))


def offer(session_id: str, sdp: str) -> Call[WhipResource]:
    """Offer to publish into a session. Source: RFC 9725, section 4.2."""
    path = f"{session_path(session_id)}/whip"
    headers = {"content-type": SDP, "accept": SDP}
    return Call("POST", path, _read_answer, sdp.encode(), headers)


def check(resource: WhipResource) -> Call[None]:
    """Find the connection; `NotFound` where no replica of the service holds it."""
    return Call("GET", resource.url, no_answer)


def delete(resource: WhipResource) -> Call[None]:
    """Stop publishing."""
    return Call("DELETE", resource.url, no_answer)


def _read_answer(reply: Reply) -> WhipResource:
    location = reply.headers.get("location")
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if reply.status != 201 or location is None or kind != SDP:
        raise MalformedAnswer(f"{reply.url} did not answer the offer as WHIP does")
    return WhipResource(urljoin(reply.url, location), reply.body.decode("utf-8", "replace"))


_LINK = re.compile(r'<([^>]*)>((?:[^,"]|"[^"]*")*)')
_FIELD = re.compile(r';\s*([\w-]+)="?([^";]*)"?')


def _read_links(links: str) -> tuple[IceServer, ...]:
    found = ((url, dict(_FIELD.findall(rest))) for url, rest in _LINK.findall(links))
    return tuple(
        IceServer(url, fields.get("username"), fields.get("credential"))
        for url, fields in found
        if fields.get("rel") == "ice-server"
    )
