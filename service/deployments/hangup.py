"""What a client that leaves looks like to the HTTP application: an end, not an error."""

from ray.exceptions import TaskCancelledError
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DisconnectOnCancel:
    """ASGI middleware: where Ray cancels a request's messages, the client has disconnected.

    Ray raises in the middle of `receive`; ASGI says that there is a last message instead.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_disconnect() -> Message:
            try:
                return await receive()
            except TaskCancelledError:
                return {"type": "http.disconnect"}

        await self._app(scope, receive_or_disconnect, send)
