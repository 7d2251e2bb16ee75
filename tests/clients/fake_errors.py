"""The fake service's refusals, in the shape of the service's own."""

from fastapi import Response
from fastapi.responses import JSONResponse


def missing(id_: str) -> Response:
    return error(404, "session_not_found", f"no session {id_!r}")


def error(
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    *,
    retryable: bool = False,
) -> Response:
    body = {"code": code, "message": message, "retryable": retryable or status >= 502}
    return JSONResponse({"error": body}, status, headers)
