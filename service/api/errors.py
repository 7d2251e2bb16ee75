"""Errors to HTTP: the one place where an exception becomes a response."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import BadRequest, ServiceError

logger = logging.getLogger(__name__)

OPENAI_PATHS = ("/v1/chat/completions", "/v1/models")
OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def add_error_handlers(app: FastAPI) -> None:
    """Answer every exception in the error shape of the route it came from."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_body)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)


def error_response(error: ServiceError, path: str) -> JSONResponse:
    """The response for `error` on `path`, with `Retry-After` where a retry makes sense."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if path.startswith(OPENAI_PATHS):
        # OpenAI's clients repeat every 409 and 5xx unless they are told
        headers["x-should-retry"] = str(error.is_retryable).lower()
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 6750, section 3
    return JSONResponse(error_body(error, path), error.http_status, headers=headers)


def error_body(error: ServiceError, path: str) -> dict[str, Any]:
    """The JSON of `error`: OpenAI's shape on the OpenAI routes, ours elsewhere."""
    return _body(
        path,
        status=error.http_status,
        code=error.code,
        message=error.message,
        retryable=error.is_retryable,
        details={key: value for key, value in error.details.items() if value is not None},
    )


def _body(
    path: str,
    *,
    status: int,
    code: str,
    message: str,
    retryable: bool,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    if path.startswith(OPENAI_PATHS):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": message,
                "type": OPENAI_TYPES.get(status, kind),
                "param": details.get("field"),
                "code": code,
            }
        }
    return {
        "error": {
            "code": code,
            "message": message,
            "retryable": retryable,
            "details": dict(details),
        }
    }


async def _on_service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    level = logging.WARNING if error.http_status >= 500 else logging.INFO
    logger.log(
        level,
        "request refused: %s",
        error.message,
        extra={"code": error.code, "path": request.url.path, **error.details},
    )
    return error_response(error, request.url.path)


async def _on_invalid_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"field": ".".join(str(part) for part in problem["loc"]), "problem": problem["msg"]}
        for problem in error.errors()
    ]
    first = problems[0]
    status = 400 if request.url.path.startswith(OPENAI_PATHS) else 422
    body = _body(
        request.url.path,
        status=status,
        code="invalid_body",
        message=f"{first['field']}: {first['problem']}",
        retryable=False,
        details={"field": first["field"], "problems": problems},
    )
    return JSONResponse(body, status)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    # 400: a body that is not the text that it says it is
    codes = {400: BadRequest.code, 404: "no_such_route", 405: "method_not_allowed"}
    body = _body(
        request.url.path,
        status=error.status_code,
        code=codes.get(error.status_code, "http_error"),
        message=f"{request.method} {request.url.path}: {error.detail}",
        retryable=False,
        details={},
    )
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("unexpected error", exc_info=error, extra={"path": request.url.path})
    return error_response(ServiceError("internal error; the log has the details"), request.url.path)
