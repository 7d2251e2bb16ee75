"""Chat completions about files, sans I/O: what is sent, and how the answer is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from clients.sdk.answers import BROKEN
from clients.sdk.codec import decode
from clients.sdk.errors import MalformedAnswer, error_from_payload
from clients.sdk.models import FileAnswer, Usage
from clients.sdk.reader import EventReader, payload_of
from clients.sdk.stream import SseEvent

END = "[DONE]"


def completion_body(
    parts: Sequence[Mapping[str, Any]], question: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The body that asks about files, which are parts already."""
    content = [*parts, {"type": "text", "text": question}]
    return {"messages": [{"role": "user", "content": content}], **options}


def read_completion(payload: Any) -> FileAnswer:
    """The answer of a completion that did not stream.

    Raises:
        MalformedAnswer: It is not of the expected form.
    """
    choice = _choice(payload)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    return _answer(payload, str(text or ""), choice)


class CompletionStream(EventReader[str | FileAnswer]):
    """Reads one completion: pieces of text, then the answer."""

    broken = BROKEN

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._finish: dict[str, Any] = {}

    def _item(self, event: SseEvent) -> str | FileAnswer | None:
        if event.data == END:
            return None
        payload = payload_of(event)
        if isinstance(payload, dict) and "error" in payload:
            raise error_from_payload(payload)
        if isinstance(payload, dict) and payload.get("usage"):
            self._is_complete = True
            return _answer(payload, self._text, self._finish)
        choice = _choice(payload)
        if choice.get("finish_reason"):
            self._finish = choice
        delta = choice.get("delta")
        piece = str(delta.get("content") or "") if isinstance(delta, dict) else ""
        self._text += piece
        return piece or None


def _choice(payload: Any) -> dict[str, Any]:
    try:
        choice = payload["choices"][0]
    except (KeyError, IndexError, TypeError) as exc:
        raise MalformedAnswer("the completion has no choice") from exc
    if not isinstance(choice, dict):
        raise MalformedAnswer("the completion's choice is no object")
    return choice


def _answer(payload: Mapping[str, Any], text: str, choice: Mapping[str, Any]) -> FileAnswer:
    return FileAnswer(
        id=str(payload.get("id", "")),
        answer=text,
        finish_reason=str(choice.get("finish_reason", "")),
        usage=decode(Usage, payload.get("usage")),
    )


__all__ = ["CompletionStream", "completion_body", "read_completion"]
