import pytest

from service.errors import (
    PreconditionFailed,
    PreconditionRequired,
    Unprocessable,
    UnsupportedMediaType,
)
from service.ingest.sdp import Fragment
from service.ingest.whip import (
    EVENTS_REL,
    FRAGMENT_TYPE,
    SDP_TYPE,
    WhipAnswer,
    check_content_type,
    check_trickle,
    created_headers,
    endpoint_headers,
    ice_server_link,
    link,
)

ETAG = '"one"'


@pytest.mark.parametrize("content_type", [SDP_TYPE, "Application/SDP; charset=utf-8"])
def test_content_type_is_compared_without_parameters_or_case(content_type: str) -> None:
    check_content_type(content_type, SDP_TYPE)


@pytest.mark.parametrize("content_type", [None, "", "application/json", FRAGMENT_TYPE])
def test_another_content_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType, match=SDP_TYPE):
        check_content_type(content_type, SDP_TYPE)


@pytest.mark.parametrize("if_match", [ETAG, '"other", "one"', "*"])
@pytest.mark.parametrize("ufrag", [None, "abcd"])
def test_candidates_of_the_current_ice_session_are_taken(if_match: str, ufrag: str | None) -> None:
    check_trickle(Fragment((), ufrag, True), if_match, etag=ETAG, ice_ufrag="abcd")


@pytest.mark.parametrize(
    ("if_match", "ufrag", "error"),
    [
        (None, "abcd", PreconditionRequired),
        (None, "restart", PreconditionRequired),
        ('"two"', "abcd", PreconditionFailed),
        ('W/"one"', "abcd", PreconditionFailed),
        ("one", "abcd", PreconditionFailed),
        ("*", "restart", Unprocessable),
        (ETAG, "restart", Unprocessable),
    ],
)
def test_a_patch_that_does_not_trickle_into_the_current_session_is_refused(
    if_match: str | None, ufrag: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_trickle(Fragment((), ufrag, True), if_match, etag=ETAG, ice_ufrag="abcd")


def test_created_headers_locate_tag_and_link() -> None:
    links = [link("/v1/sessions/a/events", EVENTS_REL), ice_server_link("stun:stun.example.net")]

    headers = created_headers(WhipAnswer("v=0", "r1", ETAG), location="/whip/r1", links=links)

    assert headers == {
        "Location": "/whip/r1",
        "ETag": ETAG,
        "Accept-Patch": FRAGMENT_TYPE,
        "Link": '</v1/sessions/a/events>; rel="urn:omnisift:events", '
        '<stun:stun.example.net>; rel="ice-server"',
    }


def test_endpoint_headers_name_the_body_they_take() -> None:
    assert endpoint_headers() == {"Accept-Post": SDP_TYPE}


def test_turn_credentials_travel_in_the_link_and_are_quoted() -> None:
    value = ice_server_link("turn:turn.example.net", username="ann", credential='a"b\\c')

    assert value == (
        '<turn:turn.example.net>; rel="ice-server"; username="ann"; '
        'credential="a\\"b\\\\c"; credential-type="password"'
    )
