"""The event feed of a session, sans I/O: what to request, what was said, when to try again."""

from clients.sdk import calls
from clients.sdk.backoff import Backoff
from clients.sdk.errors import ApiError, ConnectionFailed, OmniSiftError, is_outage
from clients.sdk.events import Event, StatusEvent, parse_event
from clients.sdk.stream import SseParser

# the service sends a comment every 15 s: three missed ones mean that the connection is dead
SILENCE_LIMIT_S = 45.0


class EventFeed:
    """Resumes where the last connection stopped, so that no event is missed or seen twice.

    A shell loops: send `call()`, pass every received byte to `receive`, and when the connection
    ends wait `wait_s(...)` seconds, until `is_over`.

    Attributes:
        is_over: The session has ended: there will be no more events.
    """

    def __init__(
        self, session_id: str, *, after: str | None, replay: bool, backoff: Backoff
    ) -> None:
        self.is_over = False
        self._session_id = session_id
        self._cursor = after
        self._replay = replay
        self._backoff = backoff
        self._num_failures = 0
        self._has_connected = False
        self._parser = SseParser()

    def call(self) -> calls.Call[None]:
        """The request of the next connection."""
        self._parser = SseParser(last_event_id=self._cursor or "")
        return calls.events(self._session_id, after=self._cursor, replay=self._replay)

    def connected(self) -> None:
        """Note that the service accepted the request."""
        self._has_connected = True

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes of the current connection and return the events they complete.

        Raises:
            MalformedAnswer: They are not of the expected form.
        """
        self._num_failures = 0
        events = []
        for sse in self._parser.feed(data):
            self._cursor = sse.id or self._cursor
            event = parse_event(sse)
            events.append(event)
            if isinstance(event, StatusEvent) and event.status == "ended":
                self.is_over = True
                break
        return events

    def wait_s(self, failure: OmniSiftError | None) -> float:
        """Seconds to wait before connecting again, after a failure or (None) a clean close.

        Raises:
            OmniSiftError: `failure`, where connecting again cannot help: the service said no, it
                was never reached, or it has been away for too long.
        """
        if failure is not None and not (self._has_connected and is_outage(failure)):
            raise failure
        self._num_failures += 1
        wait_s = self._backoff.wait_s(self._num_failures)
        if wait_s is None:
            raise failure or ConnectionFailed("the service closes the event feed again and again")
        return max(wait_s, self._asked_wait_s(failure))

    def _asked_wait_s(self, failure: OmniSiftError | None) -> float:
        if isinstance(failure, ApiError) and failure.retry_after_s is not None:
            return failure.retry_after_s
        return (self._parser.retry_ms or 0) / 1000
