import pytest

from clients.sdk.errors import ConnectionFailed, MalformedAnswer
from clients.sdk.reader import EventReader, payload_of
from clients.sdk.stream import SseEvent


class Numbers(EventReader[int]):
    broken = "broke before the last number"

    def _item(self, event: SseEvent) -> int | None:
        self._is_complete = event.type == "last"
        return int(payload_of(event)) if event.type != "comment" else None


def test_events_that_say_nothing_are_left_out_and_begin_nothing() -> None:
    reader = Numbers()

    assert reader.feed(b"event: comment\ndata: 0\n\n") == []
    assert not reader.has_begun
    assert reader.feed(b"data: 1\n\ndata: 2\n\nda") == [1, 2]
    assert reader.has_begun
    assert reader.feed(b"ta: 3\n\n") == [3]


def test_end_before_the_last_event_is_a_broken_connection() -> None:
    reader = Numbers()
    reader.feed(b"data: 1\n\n")
    with pytest.raises(ConnectionFailed, match="last number"):
        reader.close()

    reader.feed(b"event: last\ndata: 2\n\n")
    reader.close()


def test_data_that_is_not_json_is_told() -> None:
    with pytest.raises(MalformedAnswer, match="not JSON"):
        Numbers().feed(b"data: {\n\n")
