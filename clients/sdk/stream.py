"""Parser of server-sent events, sans I/O. Knows nothing about what the events mean.

Source: WHATWG HTML Living Standard, section 9.2, "Server-sent events".
"""

import re
from dataclasses import dataclass

from clients.sdk.errors import MalformedAnswer

MAX_EVENT_BYTES = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event of the stream.

    Attributes:
        type: The `event` field, "message" where there was none.
        data: The `data` lines, joined by line feeds.
        id: The last event id seen so far, "" before the first.
    """

    type: str
    data: str
    id: str


class SseParser:
    """Turns the bytes of one connection, cut anywhere, into events.

    Lines end in CR, LF or CRLF. An event that the connection's end cuts short is not an event.

    Attributes:
        last_event_id: What to send as Last-Event-ID when connecting again.
        retry_ms: Waiting time the server asked for, None if it did not.
    """

    def __init__(self, *, last_event_id: str = "", max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._max_event_bytes = max_event_bytes
        self._pending = b""
        self._is_at_start = True
        self._ended_in_cr = False
        self._type = ""
        self._data: list[str] = []
        self._num_data_bytes = 0
        self._id = last_event_id

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes and return the events they complete, in order.

        Raises:
            MalformedAnswer: One event is larger than `max_event_bytes`.
        """
        events = []
        for line in self._lines(data):
            event = self._take(line)
            if event is not None:
                events.append(event)
        return events

    def _lines(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        if self._ended_in_cr:
            data = data.removeprefix(b"\n")
        buffer = self._pending + data
        if self._is_at_start:
            # a byte order mark may itself arrive in pieces
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._pending = buffer
                return []
            buffer = buffer.removeprefix(_BOM)
            self._is_at_start = False
        *lines, self._pending = _LINE_END.split(buffer)
        self._ended_in_cr = buffer.endswith(b"\r")
        self._check_size(len(self._pending))
        return lines

    def _take(self, line: bytes) -> SseEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", errors="replace")
        if name == b"data":
            self._num_data_bytes += len(value) + 1
            self._check_size(0)
            self._data.append(text)
        elif name == b"event":
            self._type = text
        elif name == b"id" and "\0" not in text:
            self._id = text
        elif name == b"retry" and text.isascii() and text.isdecimal():
            self.retry_ms = int(text)
        return None

    def _dispatch(self) -> SseEvent | None:
        self.last_event_id = self._id
        kind, data = self._type or "message", self._data
        self._type, self._data, self._num_data_bytes = "", [], 0
        return SseEvent(kind, "\n".join(data), self._id) if data else None

    def _check_size(self, num_pending_bytes: int) -> None:
        if self._num_data_bytes + num_pending_bytes > self._max_event_bytes:
            raise MalformedAnswer(f"an event is larger than {self._max_event_bytes} bytes")
