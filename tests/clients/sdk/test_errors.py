import json

import pytest

from clients.sdk import errors
from clients.sdk.errors import error_from_payload, error_from_response
from service.errors import ServiceError


def body(code: str, **fields: object) -> bytes:
    error = {"code": code, "message": f"about {code}", "retryable": False, "details": {}} | fields
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "offer_rejected", errors.BadRequest),
        (401, "unauthorized", errors.Unauthorized),
        (403, "forbidden", errors.Forbidden),
        (404, "session_not_found", errors.NotFound),
        (409, "already_publishing", errors.Conflict),
        (413, "body_too_large", errors.BadRequest),
        (415, "unsupported_media_type", errors.BadRequest),
        (422, "unprocessable", errors.BadRequest),
        (429, "rate_limited", errors.RateLimited),
        (500, "internal_error", errors.ServerFault),
        (503, "at_capacity", errors.Overloaded),
        (503, "store_unavailable", errors.Unavailable),
        (504, "deadline_exceeded", errors.Unavailable),
        (418, "teapot", errors.BadRequest),
        (599, "odd", errors.ServerFault),
    ],
)
def test_answer_becomes_the_error_that_says_what_to_do(
    status: int, code: str, kind: type[errors.ApiError]
) -> None:
    error = error_from_response(status, {}, body(code))

    assert type(error) is kind
    assert (error.status, error.code, str(error)) == (status, code, f"about {code}")


def test_every_code_of_the_service_has_the_same_kind_with_and_without_its_status() -> None:
    def family(kind: type[ServiceError]) -> list[type[ServiceError]]:
        return [kind, *(member for sub in kind.__subclasses__() for member in family(sub))]

    for raised in family(ServiceError):
        payload = {"error": {"code": raised.code, "message": "m"}}
        with_status = error_from_payload(payload, status=raised.http_status)
        if raised.code in errors._KIND_BY_CODE:
            assert type(error_from_payload(payload)) is type(with_status), raised.code


def test_retry_after_is_taken_from_the_details_then_from_the_header() -> None:
    in_details = body("at_capacity", details={"retry_after_s": 7.5}, retryable=True)

    assert error_from_response(503, {"retry-after": "9"}, in_details).retry_after_s == 7.5
    assert error_from_response(503, {"retry-after": "9"}, body("x")).retry_after_s == 9
    assert error_from_response(503, {"retry-after": "Wed, 1 Jan"}, b"").retry_after_s is None


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'"x"', b'{"error": "x"}', b"\xff"])
def test_answer_of_a_proxy_is_still_an_error_of_its_status(content: bytes) -> None:
    error = error_from_response(502, {}, content)

    assert type(error) is errors.Unavailable
    assert error.is_retryable
    assert str(error) == "the server answered with status 502"


def test_error_inside_a_stream_is_known_by_its_code() -> None:
    payload = {"error": {"code": "engine_unavailable", "message": "m", "retryable": True}}

    error = error_from_payload(payload)

    assert type(error) is errors.Unavailable
    assert error.status is None
    assert error.is_retryable


@pytest.mark.parametrize(
    ("status", "is_outage"),
    [(500, True), (502, True), (503, True), (504, True), (404, True), (403, False)],
)
def test_server_errors_of_a_service_that_was_there_are_an_outage(
    status: int, is_outage: bool
) -> None:
    assert errors.is_outage(error_from_response(status, {}, b"Internal Server Error")) == is_outage


def test_what_an_answer_ended_with_is_no_outage() -> None:
    assert not errors.is_outage(error_from_payload({"error": {"code": "internal"}}))
    assert not errors.is_outage(error_from_response(404, {}, body("session_not_found")))
