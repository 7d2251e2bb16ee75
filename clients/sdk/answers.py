"""A streamed answer, sans I/O: bytes in, text and at last the whole answer out."""

import json

from clients.sdk.codec import decode
from clients.sdk.errors import ConnectionFailed, MalformedAnswer, error_from_payload
from clients.sdk.models import Answer
from clients.sdk.stream import SseEvent, SseParser


class AnswerStream:
    """Reads the event stream of one question."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._is_complete = False

    def feed(self, data: bytes) -> list[str | Answer]:
        """Take the next bytes and return what they complete: pieces of text, then the answer.

        Raises:
            ApiError: The service gave up on the answer.
            MalformedAnswer: The stream is not of the expected form.
        """
        items = (self._item(event) for event in self._parser.feed(data))
        return [item for item in items if item is not None]

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
