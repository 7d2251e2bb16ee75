import pytest

from clients.sdk import whip
from clients.sdk.calls import Reply
from clients.sdk.errors import Conflict, MalformedAnswer
from clients.sdk.whip import IceServer

HEADERS = {"location": "/v1/sessions/a/whip/r1", "content-type": "application/sdp"}


def reply(status: int = 201, headers: dict[str, str] | None = None) -> Reply:
    return Reply("http://h/v1/sessions/a/whip", status, HEADERS | (headers or {}), b"v=0\r\n")


def test_offer_is_posted_as_sdp() -> None:
    call = whip.offer("a", "v=0\r\n")

    assert (call.method, call.path, call.body) == ("POST", "v1/sessions/a/whip", b"v=0\r\n")
    assert call.headers["content-type"] == "application/sdp"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/v1/sessions/a/whip/r1", "http://h/v1/sessions/a/whip/r1"),
        ("whip/r1", "http://h/v1/sessions/a/whip/r1"),
        ("https://edge.example/r1", "https://edge.example/r1"),
    ],
)
def test_location_is_resolved_against_the_url_of_the_answer(location: str, url: str) -> None:
    resource = whip.offer("a", "v=0").read(reply(headers={"location": location}))

    assert resource.url == url
    assert resource.answer_sdp == "v=0\r\n"
    assert whip.delete(resource).path == url
    assert (whip.check(resource).method, whip.check(resource).path) == ("GET", url)


@pytest.mark.parametrize(
    "answer",
    [
        reply(200),
        reply(headers={"content-type": "text/html"}),
        Reply("http://h", 201, {"content-type": "application/sdp"}, b""),
    ],
)
def test_answer_that_is_not_whip_is_refused(answer: Reply) -> None:
    with pytest.raises(MalformedAnswer):
        whip.offer("a", "v=0").read(answer)


def test_refusal_says_why() -> None:
    body = b'{"error": {"code": "already_publishing", "message": "one is enough"}}'

    with pytest.raises(Conflict, match="one is enough"):
        whip.offer("a", "v=0").read(Reply("http://h", 409, {}, body))


def test_ice_servers_are_read_from_the_links() -> None:
    links = (
        '<stun:stun.test:3478>; rel="ice-server", '
        '<turn:turn.test?transport=udp>; rel="ice-server"; username="17:publisher"; '
        'credential="a,b=="; credential-type="password", </v1/x>; rel="urn:omnisift:query"'
    )

    found = whip.ice_servers("s0").read(Reply("http://h", 200, {"link": links}, b""))

    assert found == (
        IceServer("stun:stun.test:3478"),
        IceServer("turn:turn.test?transport=udp", "17:publisher", "a,b=="),
    )
    assert "a,b" not in repr(found)
    assert whip.ice_servers().read(Reply("http://h", 200, {}, b"")) == ()
    assert whip.ice_servers().path == "whip"
