"""A service as an httpx handler that gives one prepared reply after another."""

import json
from collections.abc import Callable, Iterator

import httpx

Reply = Callable[[], httpx.Response]

ANSWER = {
    "id": "q",
    "object": "answer",
    "session_id": "s0",
    "question": "what ?",
    "answer": "a red circle",
    "finish_reason": "stop",
    "context_start_s": 0,
    "context_end_s": 4,
    "ttft_s": 0.1,
    "duration_s": 0.2,
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "stream": {"video": {"in": 4, "kept": 1}, "audio": {"in": 2, "kept": 1}},
    },
}


def error(code: str) -> dict[str, object]:
    details = {"retry_after_s": 0.01}
    return {"error": {"code": code, "message": code, "retryable": True, "details": details}}


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces, one event each."""

    def __init__(self, *events: tuple[str, object]) -> None:
        self._events = [f"event: {t}\ndata: {json.dumps(d)}\n\n".encode() for t, d in events]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._events

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        for event in self._events:
            yield event


def stream(*events: tuple[str, object]) -> httpx.Response:
    return httpx.Response(200, stream=Parts(*events))


TOKENS = (("token", {"text": "a"}), ("token", {"text": " red"}))


def died() -> httpx.Response:
    return httpx.Response(503, json=error("replica_died"))


def answered() -> httpx.Response:
    return httpx.Response(200, json=ANSWER)


def in_pieces() -> httpx.Response:
    return stream(*TOKENS, ("answer", ANSWER))


def cut() -> httpx.Response:
    return stream(TOKENS[0], ("error", error("answer_interrupted")))


class Flaky:
    """Give to `httpx.MockTransport`; `replies` are those still to come."""

    def __init__(self, replies: list[Reply]) -> None:
        self.replies = [*replies]

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        return self.replies.pop(0)()
