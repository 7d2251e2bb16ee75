"""Routes for machines that watch the service: health, readiness, metrics."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from service.access.caller import Scope
from service.api import schemas, views
from service.api.authority import OPEN, needs
from service.api.backend import Backend


def health_routes(backend: Backend) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", openapi_extra=OPEN)
    async def healthz() -> schemas.Health:
        """This process answers."""
        return schemas.Health(status="ok")

    @router.get(
        "/readyz",
        response_model=schemas.Health,
        responses={503: {"model": schemas.Health}},
        openapi_extra=OPEN,
    )
    async def readyz(new_sessions: bool = False) -> JSONResponse:
        """Every part answers: 200, else 503 with what is wrong.

        With `new_sessions` a service that is full answers 503 too: for who chooses between several.
        """
        checks = dict(await backend.checks())
        if new_sessions:
            short = await backend.shortage()
            checks["sessions"] = "ok" if short is None else f"full: {short}"
        is_ready = all(state == "ok" for state in checks.values())
        health = schemas.Health(status="ok" if is_ready else "unready", checks=checks)
        return JSONResponse(views.wire(health), 200 if is_ready else 503)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        openapi_extra=needs(Scope.METRICS),
    )
    async def metrics() -> Response:
        """All replicas' metrics in Prometheus text format."""
        return Response(await backend.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
