"""Answers, sans I/O: bytes in, text and at last the whole answer out; and when to ask again."""

import json
from typing import Protocol, TypeVar

from clients.sdk.codec import decode
from clients.sdk.errors import (
    ConnectionFailed,
    MalformedAnswer,
    OmniSiftError,
    Overloaded,
    Unavailable,
    error_from_payload,
)
from clients.sdk.models import Answer
from clients.sdk.stream import SseEvent, SseParser

Whole = TypeVar("Whole")

# a replica that died is replaced, in most cases, by one that runs already
ASK_AGAIN_S = 0.5


def ask_again_after_s(failure: OmniSiftError) -> float | None:
    """Seconds after which a question that got no token is asked once more; None: it is not.

    A part that is away comes back by itself. A service at its limit needs less load, and a stream
    that has not begun needs time: those are for the caller.
    """
    if isinstance(failure, ConnectionFailed):
        return ASK_AGAIN_S
    if isinstance(failure, Unavailable) and not isinstance(failure, Overloaded):
        return (failure.retry_after_s or ASK_AGAIN_S) if failure.is_retryable else None
    return None


class PieceReader(Protocol[Whole]):
    """Reads an answer that comes in pieces."""

    has_begun: bool

    def feed(self, data: bytes) -> list[str | Whole]:
        """Take the next bytes and return what they complete."""
        ...

    def close(self) -> None:
        """Note the end of the stream."""
        ...


class AnswerStream:
    """Reads the event stream of one question.

    Attributes:
        has_begun: Something of the answer was given, so that asking again would repeat it.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self._parser = SseParser()
        self._is_complete = False

    def feed(self, data: bytes) -> list[str | Answer]:
        """Take the next bytes and return what they complete: pieces of text, then the answer.

        Raises:
            ApiError: The service gave up on the answer.
            MalformedAnswer: The stream is not of the expected form.
        """
        items = (self._item(event) for event in self._parser.feed(data))
        given = [item for item in items if item is not None]
        self.has_begun = self.has_begun or bool(given)
        return given

    def close(self) -> None:
        """Note the end of the stream.

        Raises:
            ConnectionFailed: It came before the answer.
        """
        if not self._is_complete:
            raise ConnectionFailed("the connection broke before the answer was complete; ask again")

    def _item(self, event: SseEvent) -> str | Answer | None:
        try:
            payload = json.loads(event.data)
        except ValueError as exc:
            raise MalformedAnswer(f"event data is not JSON: {event.data[:80]!r}") from exc
        if event.type == "error":
            raise error_from_payload(payload)
        if event.type == "answer":
            self._is_complete = True
            return decode(Answer, payload)
        if event.type == "token" and isinstance(payload, dict):
            return str(payload.get("text", "")) or None
        return None
