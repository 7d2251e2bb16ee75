"""The door of the page: how a browser, which sends no key when it navigates, gets its files.

Without a credential the page's URL answers 401, and the answer's body is a small form. It takes
the token from the link's fragment, or asks for a key, trades it for a cookie that opens the page's
files and nothing else (`POST /v1/page-pass`), and loads the page. Data still needs the key itself.
See docs/adr/0012.
"""

import base64
import hashlib
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request, Response

from service.access.credentials import Credentials
from service.api.authority import needs
from service.clock import Clock

PAGE_COOKIE: Final = "omnisift_page"
PAGE_PASS_S: Final = 43_200
ENTRIES: Final = frozenset({"/", "/docs", "/redoc"})
FILES: Final = frozenset({"/openapi.json", "/docs/oauth2-redirect"})
DOOR: Final = (files("service.api") / "door.html").read_text(encoding="utf-8")
SCRIPT: Final = DOOR.partition("<script>")[2].partition("</script>")[0]
SCRIPT_HASH: Final = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
DOOR_HEADERS: Final = {
    "WWW-Authenticate": "Bearer",  # not Basic: a browser would ask for a user and a password
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{SCRIPT_HASH}'; style-src 'unsafe-inline'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_page(path: str) -> bool:
    """Whether a path is one of the page's files, or of the API's description."""
    return path in ENTRIES or path in FILES or path.startswith("/web/")


def is_page_entry(path: str) -> bool:
    """Whether a browser navigates there."""
    return path in ENTRIES


def closed_door() -> Response:
    """The 401 for a browser."""
    return Response(DOOR, 401, headers=DOOR_HEADERS, media_type="text/html")


def door_routes(credentials: Credentials, clock: Clock) -> APIRouter:
    router = APIRouter(tags=["page"])

    @router.post("/v1/page-pass", status_code=204, openapi_extra=needs())
    async def enter(request: Request, response: Response) -> None:
        """Let this browser load the page's files: sets a cookie that opens nothing else."""
        is_https = "https" in (request.url.scheme, request.headers.get("X-Forwarded-Proto"))
        response.set_cookie(
            PAGE_COOKIE,
            credentials.mint_page_pass(expires_at_s=clock() + PAGE_PASS_S),
            max_age=PAGE_PASS_S,
            httponly=True,
            secure=is_https,
            # not strict: a link in a message must open, and what it opens holds no data
            samesite="lax",
        )

    return router
