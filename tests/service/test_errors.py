import inspect
import pickle

import pytest

import service.errors
from service.errors import (
    AlreadyPublishing,
    AtCapacity,
    BodyTooLarge,
    DeadlineExceeded,
    EngineUnavailable,
    Forbidden,
    NoMediaYet,
    NotOwner,
    OfferRejected,
    RateLimited,
    ReplicaDied,
    ServiceError,
    SessionEnded,
    SessionNotFound,
    StoreUnavailable,
    Unauthorized,
    UnsupportedEncoding,
    UnsupportedMediaType,
    UrlRefused,
)

EXAMPLES = [
    OfferRejected("no media section"),
    UnsupportedEncoding(got="gzip"),
    UnsupportedMediaType(got="text/plain", expected="application/sdp"),
    BodyTooLarge(limit_bytes=10),
    UrlRefused("not listed", host="h"),
    Unauthorized("the API key is not valid"),
    Forbidden("not for this", scopes=["ask"]),
    RateLimited(what="questions a minute", limit=5, retry_after_s=2.0),
    SessionNotFound("s"),
    SessionEnded("s", reason="deleted"),
    AlreadyPublishing("s"),
    NoMediaYet("s"),
    AtCapacity(stage="llm", limit=4, retry_after_s=3.0),
    NotOwner(stage="llm", owner="r1"),
    DeadlineExceeded(stage="encoder", limit_s=2.0),
    StoreUnavailable("connection refused"),
    EngineUnavailable("stopped"),
    ReplicaDied(),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: e.code)
def test_error_survives_a_process_border(error: ServiceError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (str(copy), copy.details) == (str(error), error.details)
    assert copy.retry_after_s == error.retry_after_s


def test_codes_are_unique() -> None:
    classes = [
        kind
        for _, kind in inspect.getmembers(service.errors, inspect.isclass)
        if issubclass(kind, ServiceError)
    ]
    codes = [kind.code for kind in classes if "code" in vars(kind)]

    assert len(codes) == len(set(codes))


def test_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    assert service.errors.__doc__ is not None
    for name, kind in inspect.getmembers(service.errors, inspect.isclass):
        if not issubclass(kind, ServiceError) or name in ("ServiceError", "SessionError"):
            continue
        row = next(line for line in service.errors.__doc__.splitlines() if f" {name} " in line)
        assert f" {kind.code} " in row
        assert f" {kind.http_status} " in row
        assert (" yes" in row) == kind.is_retryable


def test_not_owner_names_the_owner() -> None:
    assert NotOwner(stage="llm", owner="r1").owner == "r1"
