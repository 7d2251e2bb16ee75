"""Every error the SDK raises, by what the caller can do about it. Knows nothing about httpx.

OmniSiftError
├── ConnectionFailed       nothing answered, or the connection broke: check the URL, try again
├── TimedOut               no answer in the time given: allow more
├── MalformedAnswer        what answered speaks another protocol: check the URL and the versions
├── SourceUnavailable      a file, camera or microphone cannot be read: check it
├── MissingDependency      a package that publishing needs is not installed: install it
└── ApiError               the service said no: see `code`, `message`, `details`
    ├── BadRequest         400, 413, 415, 422 and other 4xx: change the request
    ├── Unauthorized       401: give a valid key
    │   └── Forbidden      403: give a key, or a token, that has the scope
    ├── NotFound           404: check the session's id
    ├── Conflict           409: the session's state forbids it; `is_retryable` says if waiting helps
    ├── Unavailable        502, 503, 504: try again, after `retry_after_s` if that is given
    │   └── Overloaded     503 with code `at_capacity`: likewise, with less load
    │       └── RateLimited  429: this key is at its limit; wait `retry_after_s`
    └── ServerFault        other 5xx: report it
"""

import json
from collections.abc import Mapping
from typing import Any


class OmniSiftError(Exception):
    """Base of all."""


class ConnectionFailed(OmniSiftError):
    """Nothing answered at the URL, or the connection broke before the answer was complete."""


class TimedOut(OmniSiftError):
    """The service is there but did not do it in the time given."""


class MalformedAnswer(OmniSiftError):
    """What came back cannot be read as this version of the protocol."""


class SourceUnavailable(OmniSiftError):
    """A file, camera or microphone cannot be opened or has nothing to play."""


class MissingDependency(OmniSiftError):
    """An optional package is needed for this and is not installed."""


class ApiError(OmniSiftError):
    """The service answered with an error.

    Attributes:
        message: What happened, for a person.
        code: Stable identifier, for a program; see docs/api.md.
        status: HTTP status; None for an error inside a stream that had begun.
        is_retryable: The same request may succeed later.
        details: Further fields of the error.
        retry_after_s: Seconds after which a retry makes sense, None where the service named none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        is_retryable: bool = False,
        details: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.is_retryable = is_retryable
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s


class BadRequest(ApiError):
    """The request cannot be served as it is."""


class Unauthorized(ApiError):
    """The key or token is missing, wrong or over."""


class Forbidden(Unauthorized):
    """The key or token is valid, but lacks the scope; `details["scopes"]` are what it takes."""


class NotFound(ApiError):
    """There is no such session, or this key may not see it."""


class Conflict(ApiError):
    """The session is in a state that forbids it: ended, already published to, no media yet."""


class Unavailable(ApiError):
    """The service, or a part of it, cannot serve now."""


class Overloaded(Unavailable):
    """A limit is reached."""


class RateLimited(Overloaded):
    """A limit of this key is reached; `retry_after_s` says how long to wait."""


class ServerFault(ApiError):
    """The service failed in a way it did not foresee."""


def is_passing(failure: OmniSiftError) -> bool:
    """Tell whether the same request may succeed a moment later."""
    if isinstance(failure, ApiError):
        return failure.is_retryable
    return isinstance(failure, ConnectionFailed | TimedOut)


def is_outage(failure: OmniSiftError) -> bool:
    """Tell whether a service that has been there may be back a moment later.

    Besides what is passing by itself that is any 5xx, and a 404 that is not the service's own: what
    stands before it, such as Ray's proxy, says 500 as a replica dies and 404 while none is there.
    """
    is_fault = isinstance(failure, ServerFault) and failure.status is not None
    is_nobody = isinstance(failure, NotFound) and failure.code == "http_404"
    return is_fault or is_nobody or is_passing(failure)


_KIND_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
# inside a stream there is no status, and a code says more than 503 does
_KIND_BY_CODE: dict[str, type[ApiError]] = {
    "bad_request": BadRequest,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "rate_limited": RateLimited,
    "unprocessable": BadRequest,
    "session_not_found": NotFound,
    "session_ended": Conflict,
    "already_publishing": Conflict,
    "no_media_yet": Conflict,
    "at_capacity": Overloaded,
    "deadline_exceeded": Unavailable,
    "unavailable": Unavailable,
    "store_unavailable": Unavailable,
    "engine_unavailable": Unavailable,
    "replica_died": Unavailable,
    "answer_interrupted": Unavailable,
}


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error that an HTTP answer of 300 or above stands for, whatever its body is."""
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    return error_from_payload(payload, status=status, retry_after=headers.get("retry-after"))


def error_from_payload(
    payload: object, *, status: int | None = None, retry_after: str | None = None
) -> ApiError:
    """Make the error that a JSON body `{"error": {...}}` describes.

    Args:
        payload: The decoded body; anything else gives an error that only names the status.
        status: HTTP status, None inside a stream.
        retry_after: The Retry-After header, used where it is a number of seconds.
    """
    error = payload.get("error") if isinstance(payload, dict) else None
    if not isinstance(error, dict):
        error = {}
    code = str(error.get("code") or f"http_{status}")
    details = error.get("details")
    if not isinstance(details, dict):
        details = {}
    return _kind(status, code)(
        str(error.get("message") or f"the server answered with status {status}"),
        code=code,
        status=status,
        is_retryable=bool(error.get("retryable", status in (429, 502, 503, 504))),
        details=details,
        retry_after_s=_seconds(details.get("retry_after_s", retry_after)),
    )


def _kind(status: int | None, code: str) -> type[ApiError]:
    if code in _KIND_BY_CODE:
        return _KIND_BY_CODE[code]
    if status in _KIND_BY_STATUS:
        return _KIND_BY_STATUS[status]
    return ServerFault if status is None or status >= 500 else BadRequest


def _seconds(value: object) -> float | None:
    # Retry-After may also be a date; no part of this service sends one
    try:
        return float(str(value))
    except ValueError:
        return None
