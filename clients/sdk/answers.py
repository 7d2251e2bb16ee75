"""Answers, sans I/O: bytes in, text and at last the whole answer out; and when to ask again."""

from clients.sdk.codec import decode
from clients.sdk.errors import (
    ConnectionFailed,
    OmniSiftError,
    Overloaded,
    Unavailable,
    error_from_payload,
)
from clients.sdk.models import Answer
from clients.sdk.reader import EventReader, payload_of
from clients.sdk.stream import SseEvent

# a replica that died is replaced, in most cases, by one that runs already
ASK_AGAIN_S = 0.5
BROKEN = "the connection broke before the answer was complete; ask again"


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


class AnswerStream(EventReader[str | Answer]):
    """Reads one question's answer: pieces of text, then the answer."""

    broken = BROKEN

    def _item(self, event: SseEvent) -> str | Answer | None:
        payload = payload_of(event)
        if event.type == "error":
            raise error_from_payload(payload)
        if event.type == "answer":
            self._is_complete = True
            return decode(Answer, payload)
        if event.type == "token" and isinstance(payload, dict):
            return str(payload.get("text", "")) or None
        return None


__all__ = ["ASK_AGAIN_S", "BROKEN", "AnswerStream", "ask_again_after_s"]
