"""Reads the event stream of one reply to its end, sans I/O: bytes in, what they complete out."""

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from clients.sdk.errors import ConnectionFailed, MalformedAnswer
from clients.sdk.stream import SseEvent, SseParser

Item = TypeVar("Item")


class EventReader(ABC, Generic[Item]):
    """What all such readers do; each knows its own events.

    Attributes:
        has_begun: Something was given, so that asking again would repeat it.
    """

    broken: ClassVar[str]
    """What is told where the connection ends too soon."""

    def __init__(self) -> None:
        self.has_begun = False
        self._is_complete = False
        self._parser = SseParser()

    def feed(self, data: bytes) -> list[Item]:
        """Take the next bytes and return what they complete.

        Raises:
            ApiError: The service gave up.
            MalformedAnswer: The stream is not of the expected form.
        """
        items = (self._item(event) for event in self._parser.feed(data))
        given = [item for item in items if item is not None]
        self.has_begun = self.has_begun or bool(given)
        return given

    def close(self) -> None:
        """Note the end of the stream.

        Raises:
            ConnectionFailed: It came before its last event.
        """
        if not self._is_complete:
            raise ConnectionFailed(self.broken)

    @abstractmethod
    def _item(self, event: SseEvent) -> Item | None:
        """What an event says, None for nothing; sets `_is_complete` with the last."""


def payload_of(event: SseEvent) -> Any:
    """An event's data.

    Raises:
        MalformedAnswer: It is not JSON.
    """
    try:
        return json.loads(event.data)
    except ValueError as exc:
        raise MalformedAnswer(f"event data is not JSON: {event.data[:80]!r}") from exc


__all__ = ["EventReader", "payload_of"]
