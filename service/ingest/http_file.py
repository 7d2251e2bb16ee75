"""A file read over HTTP, for PyAV: FFmpeg itself opens no connection. Blocking; one thread's.

Connects to addresses that were checked a moment ago, and checks every redirect as the first URL.
"""

import io
from collections.abc import Iterator
from typing import Final, Self
from urllib.parse import urljoin

import httpx

from service.egress import Resolve, Target, resolve_host
from service.errors import ServiceError
from service.ingest.source_policy import SourcePolicy
from service.source_errors import SourceDenied, SourceUnreachable

MAX_REDIRECTS: Final = 3
SKIP_BYTES: Final = 256 << 10  # reading on is faster than another request
TOO_BUSY: Final = (408, 425, 429)


class HttpFile(io.RawIOBase):
    """Reads a URL from its start; elsewhere by range requests, where the server takes them.

    Raises, when it is made or read:
        UrlRefused: The URL, or what it redirects to, may not be opened.
        SourceDenied: The server does not give it.
        SourceUnreachable: It cannot be reached, or was lost.
    """

    def __init__(
        self, url: str, policy: SourcePolicy, *, timeout_s: float, resolve: Resolve = resolve_host
    ) -> None:
        self._url = url
        self._policy = policy
        self._resolve = resolve
        self._http = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False)
        self._position = 0  # where the next read is
        self._response: httpx.Response | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._at = 0  # where the response is
        self._held = b""
        try:
            response = self._request(0)
        except BaseException:
            self._http.close()
            raise
        length = response.headers.get("Content-Length", "")
        self._length = int(length) if length.isdigit() else None
        takes_ranges = response.headers.get("Accept-Ranges", "").lower() == "bytes"
        self._is_seekable = takes_ranges and self._length is not None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._is_seekable

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self._is_seekable:
            raise io.UnsupportedOperation("the server takes no range requests")
        assert self._length is not None
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, as many as there are at once; none at the end."""
        if self._position != self._at:
            self._move()
        if not self._held:
            self._held = self._next_block()
        count = len(self._held) if size < 0 else size
        part, self._held = self._held[:count], self._held[count:]
        self._position += len(part)
        self._at += len(part)
        return part

    def close(self) -> None:
        if not self.closed:
            if self._response is not None:
                self._response.close()
            self._http.close()
        super().close()

    def __enter__(self) -> Self:
        return self

    def _move(self) -> None:
        """Bring the response to the position."""
        while 0 < self._position - self._at <= SKIP_BYTES:
            if not self._held:
                self._held = self._next_block()
            if not self._held:
                return
            step = min(self._position - self._at, len(self._held))
            self._held = self._held[step:]
            self._at += step
        if self._position == self._at:
            return
        if self._length is not None and self._position >= self._length:
            self._held, self._blocks, self._at = b"", iter(()), self._position
            return
        if self._response is not None:
            self._response.close()
        self._request(self._position)

    def _next_block(self) -> bytes:
        try:
            return next(self._blocks, b"")
        except httpx.HTTPError as error:
            raise SourceUnreachable(_reason(error)) from error

    def _request(self, start: int) -> httpx.Response:
        """Ask for the bytes from `start` on."""
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(url, self._policy.check(url, self._resolve), start)
            if not response.has_redirect_location:
                break
            response.close()
            url = urljoin(url, response.headers["Location"])
        else:
            raise SourceDenied(f"it redirects more than {MAX_REDIRECTS} times")
        try:
            _check(response, start)
        except ServiceError:
            response.close()
            raise
        # as they come: in blocks of a size, a slow server would be waited for in here
        self._response, self._blocks = response, response.iter_raw()
        self._held, self._at = b"", start
        return response

    def _send(self, url: str, target: Target, start: int) -> httpx.Response:
        pinned = httpx.URL(url).copy_with(host=target.addresses[0])
        host = f"[{target.host}]" if ":" in target.host else target.host
        headers = {"Host": f"{host}:{target.port}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = self._http.build_request(
            "GET", pinned, headers=headers, extensions={"sni_hostname": target.host}
        )
        try:
            return self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise SourceUnreachable(_reason(error)) from error


def _check(response: httpx.Response, start: int) -> None:
    status = response.status_code
    if status >= 500 or status in TOO_BUSY:
        raise SourceUnreachable(f"the server answers {status}")
    if status != (206 if start else 200):
        raise SourceDenied(f"the server answers {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceDenied("its body is compressed, which was not asked for")
    if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise SourceDenied("the server answers with another range than it was asked for")


def _reason(error: httpx.HTTPError) -> str:
    """What happened, without the URL."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return "the connection failed" if isinstance(error, httpx.ConnectError) else "it was lost"


__all__ = ["HttpFile"]
