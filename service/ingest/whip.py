"""WHIP (RFC 9725) without HTTP: what requests must be, and what answers carry. Pure.

Of the optional parts, trickle ICE is offered and ICE restarts are not. Knows nothing about peers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.errors import (
    PreconditionFailed,
    PreconditionRequired,
    Unprocessable,
    UnsupportedMediaType,
)
from service.ingest.sdp import Fragment

SDP_TYPE = "application/sdp"
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"

EVENTS_REL = "urn:omnisift:events"  # an extension's relation is a URI (RFC 8288, section 2.1.2)
QUERY_REL = "urn:omnisift:query"
ICE_SERVER_REL = "ice-server"


@dataclass(frozen=True, slots=True)
class WhipAnswer:
    """The answer to an offer.

    Attributes:
        sdp: All candidates included; nothing trickles back.
        resource_id: Names the publisher's connection; the last part of its URL.
        etag: Strong entity tag of its ICE session, with its quotes.
    """

    sdp: str
    resource_id: str
    etag: str


def check_content_type(content_type: str | None, expected: str) -> None:
    """Require a body of type `expected`; parameters such as a charset are ignored.

    Raises:
        UnsupportedMediaType: It is another.
    """
    got = (content_type or "").partition(";")[0].strip().lower()
    if got != expected:
        raise UnsupportedMediaType(got=got, expected=expected)


def check_trickle(fragment: Fragment, if_match: str | None, *, etag: str, ice_ufrag: str) -> None:
    """Require that a PATCH adds candidates to the ICE session that there is.

    Args:
        fragment: The request's body.
        if_match: The request's If-Match header.
        etag: Tag of the current ICE session.
        ice_ufrag: The publisher's name of it.

    Raises:
        PreconditionRequired: No If-Match.
        PreconditionFailed: It names another ICE session.
        Unprocessable: The fragment begins another one: an ICE restart.

    Source: RFC 9725, sections 4.3.1 to 4.3.3.
    """
    if if_match is None:
        raise PreconditionRequired
    tags = {tag.strip() for tag in if_match.split(",")}
    if tags.isdisjoint({etag, "*"}):
        raise PreconditionFailed
    if fragment.ice_ufrag not in (None, ice_ufrag):
        raise Unprocessable("ICE restarts are not offered; publish again instead", field="body")


def created_headers(
    answer: WhipAnswer, *, location: str, links: Iterable[str] = ()
) -> Mapping[str, str]:
    """Headers of the 201 that carries `answer`."""
    headers = {"Location": location, "ETag": answer.etag, **resource_headers()}
    return _with_links(headers, links)


def endpoint_headers(links: Iterable[str] = ()) -> Mapping[str, str]:
    """Headers of an OPTIONS answer on a URL that takes offers."""
    return _with_links({"Accept-Post": SDP_TYPE}, links)


def resource_headers() -> Mapping[str, str]:
    """Headers of an OPTIONS answer on a publisher's URL."""
    return {"Accept-Patch": FRAGMENT_TYPE}


def link(target: str, rel: str, **params: str) -> str:
    """One value of a Link header (RFC 8288); parameter names take `-` for `_`."""
    quoted = {"rel": rel} | {name.replace("_", "-"): value for name, value in params.items()}
    return "; ".join(
        [f"<{target}>", *(f"{name}={_quote(value)}" for name, value in quoted.items())]
    )


def ice_server_link(url: str, *, username: str | None = None, credential: str | None = None) -> str:
    """The Link value of a STUN or TURN server for clients.

    Source: RFC 9725, section 4.6.
    """
    if username is None or credential is None:
        return link(url, ICE_SERVER_REL)
    return link(
        url, ICE_SERVER_REL, username=username, credential=credential, credential_type="password"
    )


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _with_links(headers: Mapping[str, str], links: Iterable[str]) -> Mapping[str, str]:
    joined = ", ".join(links)
    return {**headers, "Link": joined} if joined else headers
