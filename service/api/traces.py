"""A client's trace goes on in ours: the `traceparent` header of a request (W3C Trace Context)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.tracing import joined

HEADERS = (b"traceparent", b"tracestate")


class TraceContext:
    """ASGI middleware: the client's span is current while its request is served."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", ())
        parent = {
            name.decode(): value.decode("latin-1") for name, value in headers if name in HEADERS
        }
        if not parent:
            await self._app(scope, receive, send)
            return
        with joined(parent):
            await self._app(scope, receive, send)


__all__ = ["TraceContext"]
