"""What both clients share of httpx: configuration, answers and errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from clients.sdk.calls import Call, Reply
from clients.sdk.errors import (
    ConnectionFailed,
    MalformedAnswer,
    TimedOut,
    Unauthorized,
    error_from_response,
)

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_LIMIT_S = 5.0
POLL_S = 0.25
RECORDING_MARGIN_S = 120.0  # it waits for a publisher first, and for the last chunks


def http_options(base_url: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    """Arguments of `httpx.Client` and `httpx.AsyncClient`.

    Raises:
        ConnectionFailed: `base_url` is not an http(s) URL.
        Unauthorized: No header can carry `api_key`.
    """
    headers = {} if api_key is None else {"authorization": f"Bearer {_checked(api_key)}"}
    with translated(base_url):
        url = httpx.URL(base_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.UnsupportedProtocol("it must begin with http:// or https://")
    # RFC 9725 balances load by 307, which keeps method and body
    timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_LIMIT_S))
    return {"base_url": url, "headers": headers, "timeout": timeout, "follow_redirects": True}


def request_options(call: Call[Any], read_limit_s: float | None = None) -> dict[str, Any]:
    """Arguments of httpx's `request` and `stream`; `read_limit_s` is the longest silence."""
    options: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "content": call.body,
        "headers": dict(call.headers),
    }
    if read_limit_s is not None:
        options["timeout"] = httpx.Timeout(read_limit_s, connect=CONNECT_LIMIT_S)
    return options


def reply_from(response: httpx.Response) -> Reply:
    """The answer as a value; its body has been read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(str(response.url), response.status_code, headers, response.content)


def raise_for_status(response: httpx.Response) -> None:
    """Raise the error that an answer stands for; its body has been read."""
    if response.status_code >= 300:
        raise error_from_response(response.status_code, response.headers, response.content)


def _checked(api_key: str) -> str:
    # httpx would fail later, and print the key
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise Unauthorized("the API key has characters that no header can carry", code="bad_key")
    return api_key


@contextmanager
def translated(base_url: str) -> Iterator[None]:
    """Turn httpx's errors into ours.

    Raises:
        TimedOut: The service accepted the connection and then was silent for too long.
        ConnectionFailed: It could not be reached, or the connection broke.
        MalformedAnswer: Its answer could not be decompressed.
    """
    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        raise ConnectionFailed(f"{base_url} cannot be reached: no connection in time") from exc
    except httpx.TimeoutException as exc:
        raise TimedOut(f"{base_url} did not answer in time") from exc
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as exc:
        raise ConnectionFailed(f"{base_url!r} is not a usable URL: {exc}") from exc
    except httpx.ConnectError as exc:
        raise ConnectionFailed(f"{base_url} cannot be reached: {exc}") from exc
    except httpx.TransportError as exc:
        reason = str(exc) or type(exc).__name__
        raise ConnectionFailed(f"the connection to {base_url} broke: {reason}") from exc
    except httpx.DecodingError as exc:
        raise MalformedAnswer(f"{base_url} sent what cannot be decoded: {exc}") from exc
