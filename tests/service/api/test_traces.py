from starlette.types import Receive, Scope, Send

from service.api.traces import TraceContext
from service.tracing import carrier

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def seen_by_application(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    seen: dict[str, str] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(carrier())

    async def unused(*_: object) -> None: ...

    await TraceContext(app)({"type": "http", "headers": headers}, unused, unused)  # type: ignore[arg-type]
    return seen


async def test_the_clients_span_is_current_in_its_request() -> None:
    assert await seen_by_application([(b"traceparent", PARENT.encode())]) == {"traceparent": PARENT}


async def test_without_one_there_is_none() -> None:
    assert await seen_by_application([(b"accept", b"*/*")]) == {}


async def test_one_that_is_no_text_is_ignored() -> None:
    assert await seen_by_application([(b"traceparent", b"\xff\xfe")]) == {}
