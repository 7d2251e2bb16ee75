import json

import pytest

from clients.sdk.backoff import Backoff
from clients.sdk.errors import (
    ConnectionFailed,
    MalformedAnswer,
    NotFound,
    OmniSiftError,
    Overloaded,
    ServerFault,
    TimedOut,
)
from clients.sdk.feed import EventFeed


def new_feed(**options: object) -> EventFeed:
    defaults = {"after": None, "replay": True, "backoff": Backoff(0.01, 0.01, max_attempts=3)}
    return EventFeed("s", **defaults | options)  # type: ignore[arg-type]  # a mixed dict


def event(type_: str, id_: int) -> bytes:
    data = json.dumps({"type": type_, "session_id": "s", "at_s": 0})
    return f"id: {id_}\nevent: {type_}\ndata: {data}\n\n".encode()


def test_reconnects_after_the_last_whole_event() -> None:
    feed = new_feed()
    feed.connected()
    feed.receive(event("session.live", 4) + event("session.idle", 5)[:-3])

    feed.wait_s(ConnectionFailed("gone"))

    assert feed.call().headers["last-event-id"] == "4"


def test_rest_of_a_cut_event_does_not_leak_into_the_next_connection() -> None:
    feed = new_feed()
    feed.receive(event("session.live", 4)[:-3])
    feed.call()

    events = feed.receive(event("session.idle", 5))

    assert [e.type for e in events] == ["session.idle"]


def test_first_request_says_where_to_begin() -> None:
    assert "replay=1" in new_feed().call().path
    assert "replay=0" in new_feed(replay=False).call().path
    assert new_feed(after="3").call().headers["last-event-id"] == "3"


def test_end_of_the_session_is_the_end_of_the_feed() -> None:
    feed = new_feed()

    events = feed.receive(event("session.ended", 1) + event("chunk", 2))

    assert [e.type for e in events] == ["session.ended"]
    assert feed.is_over


def test_service_that_was_never_reached_is_not_tried_again() -> None:
    with pytest.raises(ConnectionFailed):
        new_feed().wait_s(ConnectionFailed("refused"))


@pytest.mark.parametrize(
    "failure",
    [
        None,
        ConnectionFailed("broke"),
        TimedOut("silent"),
        ServerFault("of a proxy", code="http_500", status=500),
    ],
)
def test_passing_failures_are_tried_again_for_a_while(failure: OmniSiftError | None) -> None:
    feed = new_feed()
    feed.connected()

    waits = [feed.wait_s(failure) for _ in range(3)]

    assert all(0 < wait_s <= 0.01 for wait_s in waits)
    with pytest.raises(OmniSiftError):
        feed.wait_s(failure)


def test_any_sign_of_life_starts_the_count_again() -> None:
    feed = new_feed()
    feed.connected()

    for _ in range(10):
        feed.wait_s(None)
        feed.receive(b": keep-alive\n\n")


@pytest.mark.parametrize(
    "failure", [NotFound("gone", code="session_not_found"), MalformedAnswer("what")]
)
def test_lasting_failures_are_raised(failure: OmniSiftError) -> None:
    feed = new_feed()
    feed.connected()

    with pytest.raises(type(failure)):
        feed.wait_s(failure)


def test_wait_that_the_service_asks_for_is_kept() -> None:
    feed = new_feed()
    feed.connected()
    feed.receive(b"retry: 3000\n\n")

    assert feed.wait_s(None) == 3
    busy = Overloaded("busy", code="at_capacity", is_retryable=True, retry_after_s=9)
    assert feed.wait_s(busy) == 9
