import httpx
import pytest

from clients.sdk.calls import get_session
from clients.sdk.errors import (
    ConnectionFailed,
    MalformedAnswer,
    OmniSiftError,
    TimedOut,
    Unauthorized,
)
from clients.sdk.transport import http_options, request_options, translated


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectError("refused"), ConnectionFailed),
        (httpx.ConnectTimeout("slow"), ConnectionFailed),
        (httpx.ReadTimeout("slow"), TimedOut),
        (httpx.RemoteProtocolError("peer closed"), ConnectionFailed),
        (httpx.ReadError(""), ConnectionFailed),
        (httpx.TooManyRedirects("loop"), ConnectionFailed),
        (httpx.DecodingError("not gzip"), MalformedAnswer),
    ],
)
def test_errors_come_in_our_words(raised: Exception, expected: type[OmniSiftError]) -> None:
    with pytest.raises(expected, match="http://h") as caught, translated("http://h"):
        raise raised

    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://h", "http://", "http://h:port", "h"])
def test_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConnectionFailed, match="not a usable URL"):
        http_options(url, None, 1.0)


@pytest.mark.parametrize("key", ["two\nlines", "sp ace", "caf\u00e9", "nul\0"])
def test_key_that_no_header_can_carry_is_refused_and_not_printed(key: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        http_options("http://h", key, 1.0)

    assert key not in str(caught.value)


def test_key_is_a_bearer_token() -> None:
    assert http_options("http://h", "k", 1.0)["headers"] == {"authorization": "Bearer k"}
    assert http_options("http://h", None, 1.0)["headers"] == {}


def test_limit_of_silence_is_the_read_timeout_only() -> None:
    timeout = request_options(get_session("a"), 45.0)["timeout"]

    assert (timeout.read, timeout.connect) == (45.0, 5.0)
