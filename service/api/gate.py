"""Nobody gets in without a credential: ASGI middleware in front of every route and file.

What is not named here as open needs an API key or a token, whatever route it turns out to be, none
at all included; what the caller then may do is for `service.api.authority`. A request that is
refused is refused before its body is read.
"""

import logging
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.caller import Caller
from service.access.credentials import Credentials
from service.api.door import PAGE_COOKIE, closed_door, is_page, is_page_entry
from service.api.errors import error_response
from service.clock import Clock
from service.errors import Unauthorized

logger = logging.getLogger(__name__)

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
VISITOR: Final = Caller(None, frozenset())
"""A browser that loads the page's files: it may do nothing else, and sees no session."""


class Gate:
    """Finds out who calls, and answers 401 where nobody known does.

    The caller is left in `request.state.caller`.
    """

    def __init__(self, app: ASGIApp, *, credentials: Credentials, clock: Clock) -> None:
        self._app = app
        self._credentials = credentials
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path") in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # no route takes one
            return
        try:
            caller = self._caller(scope)
        except Unauthorized as error:
            logger.info("request refused: %s", error.message, extra={"path": scope["path"]})
            await _refusal(error, scope)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        headers, now_s = Headers(scope=scope), self._clock()
        try:
            return self._credentials.caller(_bearer(headers), now_s=now_s)
        except Unauthorized:
            page_pass = _page_pass(headers)
            if page_pass is None or not is_page(scope["path"]) or not _is_read(scope):
                raise
        self._credentials.check_page_pass(page_pass, now_s=now_s)
        return VISITOR


def _refusal(error: Unauthorized, scope: Scope) -> Response:
    wants_html = "text/html" in Headers(scope=scope).get("accept", "")
    if wants_html and _is_read(scope) and is_page_entry(scope["path"]):
        return closed_door()
    return error_response(error, scope["path"])


def _is_read(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD")


def _bearer(headers: Headers) -> str | None:
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


def _page_pass(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(PAGE_COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value
