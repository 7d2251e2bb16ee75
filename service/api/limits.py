"""Body size limits as ASGI middleware: a body over its route's limit never reaches the route."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.caller import Caller
from service.api.errors import error_response
from service.errors import (
    AtCapacity,
    BodyTooLarge,
    DeadlineExceeded,
    RateLimited,
    ServiceError,
    UnsupportedEncoding,
)

CHAT_PATH: Final = "/v1/chat/completions"
REPLAY_PATH: Final = "/v1/replays"
RETRY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large bodies may be.

    Attributes:
        json_bytes: Of every route but these two, and those that take files.
        sdp_bytes: Of the WHIP routes.
        chat_bytes: Of chat completions, which may bring a file.
        max_large: Chat completions above `json_bytes` at a time, from their first bytes to the end
            of their answers: so much memory files may take. More get 503; more than half of them
            by one key, 429.
        large_s: How long the body of one may take to arrive.
    """

    json_bytes: int = 1 << 20
    sdp_bytes: int = 64 << 10
    chat_bytes: int = 32 << 20
    max_large: int = 4
    large_s: float = 60.0


class BodyLimit:
    """Reads each request's body up to a limit, then hands it on; answers 413 above it."""

    def __init__(self, app: ASGIApp, *, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits
        self._num_large: Counter[str | None] = Counter()  # by key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        with ExitStack() as places:
            try:
                _check_plain(scope)
                if not _is_file(scope):
                    await self._read(body, scope, places)
            except ServiceError as error:
                response = error_response(error, scope["path"])
                if not body.is_whole:
                    response.headers["Connection"] = "close"  # the rest of the body stays unread
                await response(scope, receive, send)
                return
            await self._app(scope, receive if _is_file(scope) else body.replay, send)

    async def _read(self, body: "_Body", scope: Scope, places: ExitStack) -> None:
        limits, path = self._limits, scope["path"]
        limit_bytes = limits.sdp_bytes if "/whip" in path else limits.json_bytes
        if await body.read(limit_bytes):
            return
        if path != CHAT_PATH:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        places.enter_context(self._place(_key_id(scope)))
        try:
            async with asyncio.timeout(limits.large_s):
                is_whole = await body.read(limits.chat_bytes)
        except TimeoutError as error:
            raise DeadlineExceeded(stage="upload", limit_s=limits.large_s) from error
        if not is_whole:
            raise BodyTooLarge(limit_bytes=limits.chat_bytes)

    @contextmanager
    def _place(self, key_id: str | None) -> Iterator[None]:
        limit = self._limits.max_large
        if self._num_large.total() >= limit:
            raise AtCapacity(stage="upload", limit=limit)
        share = max(1, limit // 2)
        if key_id is not None and self._num_large[key_id] >= share:
            raise RateLimited(what="large bodies", limit=share, retry_after_s=RETRY_S)
        self._num_large[key_id] += 1
        try:
            yield
        finally:
            self._num_large[key_id] -= 1
            self._num_large += Counter()  # forget keys that have none


class _Body:
    """A request's body: read up to a limit, then handed on as one message."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._data = bytearray()
        self._is_handed_on = False
        self.is_whole = False

    async def read(self, limit_bytes: int) -> bool:
        """Whether the body ends within the limit; may go on later with a higher one."""
        while not self.is_whole and len(self._data) <= limit_bytes:
            message = await self._receive()
            self._data += message.get("body", b"")
            self.is_whole = not message.get("more_body", False)  # a disconnect ends it too
        return len(self._data) <= limit_bytes

    async def replay(self) -> Message:
        """The application's `receive`."""
        if self._is_handed_on:
            return await self._receive()
        self._is_handed_on = True
        body, self._data = bytes(self._data), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}


def _key_id(scope: Scope) -> str | None:
    caller: Caller | None = scope.get("state", {}).get("caller")  # `service.api.gate` puts it there
    return None if caller is None else caller.key_id


def _is_file(scope: Scope) -> bool:
    """Its route reads it in parts, up to a limit of its own."""
    method, path = scope["method"], str(scope["path"])
    return (method == "PUT" and path.endswith("/media")) or (method, path) == ("POST", REPLAY_PATH)


def _check_plain(scope: Scope) -> None:
    encoding = Headers(scope=scope).get("content-encoding", "identity")
    if encoding.lower() != "identity":
        # nothing is decompressed here, so that no small body can become a large one
        raise UnsupportedEncoding(got=encoding)
