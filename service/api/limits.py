"""Body size limits as ASGI middleware: a body over its route's limit never reaches the route."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import error_response
from service.errors import BodyTooLarge, UnsupportedEncoding


class BodyLimit:
    """Reads each request's body up to a limit, then hands it on; answers 413 above it.

    Args:
        app: What to protect.
        json_bytes: Limit of every route but the WHIP ones.
        sdp_bytes: Limit of the WHIP routes.
    """

    def __init__(self, app: ASGIApp, *, json_bytes: int, sdp_bytes: int) -> None:
        self._app = app
        self._json_bytes = json_bytes
        self._sdp_bytes = sdp_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        encoding = Headers(scope=scope).get("content-encoding", "identity")
        if encoding.lower() != "identity":
            # nothing is decompressed here, so that no small body can become a large one
            refusal = error_response(UnsupportedEncoding(got=encoding), scope["path"])
            await refusal(scope, receive, send)
            return
        limit = self._sdp_bytes if "/whip" in scope["path"] else self._json_bytes
        body = await _read_body(receive, limit)
        if body is None:
            response = error_response(BodyTooLarge(limit_bytes=limit), scope["path"])
            response.headers["Connection"] = "close"  # the rest of the body stays unread
            await response(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
