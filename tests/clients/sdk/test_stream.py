import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.sdk.errors import MalformedAnswer
from clients.sdk.stream import SseEvent, SseParser


def parse(*pieces: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def reference(stream: bytes) -> list[SseEvent]:
    """The standard's algorithm over a whole stream, line by line."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    *lines, _unfinished = re.split("\r\n|\n|\r", text)
    events, type_, data, id_ = [], "", "", ""
    for line in lines:
        if not line:
            if data:
                events.append(SseEvent(type_ or "message", data.removesuffix("\n"), id_))
            type_, data = "", ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif name == "event":
            type_ = value
        elif name == "id" and "\0" not in value:
            id_ = value
    return events


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [SseEvent("message", "a", "")]),
        (b"data:a\r\n\r\n", [SseEvent("message", "a", "")]),
        (b"data:a\r\r", [SseEvent("message", "a", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SseEvent("message", "a", "")]),
        (b"data: a\ndata:\ndata:  b\n\n", [SseEvent("message", "a\n\n b", "")]),
        (b"data\n\ndata\ndata\n\n", [SseEvent("message", "", ""), SseEvent("message", "\n", "")]),
        (b": keep-alive\n\ndata: a\n\n", [SseEvent("message", "a", "")]),
        (b"event: chunk\nid: 7\ndata: {}\n\n", [SseEvent("chunk", "{}", "7")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [SseEvent("message", c, "7") for c in "ab"]),
        (
            b"id: 7\ndata: a\n\nid\ndata: b\n\n",
            [SseEvent("message", "a", "7"), SseEvent("message", "b", "")],
        ),
        (b"id: 7\ndata: a\n\nid: \0\ndata: b\n\n", [SseEvent("message", c, "7") for c in "ab"]),
        (b"event: chunk\n\ndata: a\n\n", [SseEvent("message", "a", "")]),
        (b"unknown: x\ndata: caf\xc3\xa9\n\n", [SseEvent("message", "caf\u00e9", "")]),
        (b"data: cut short\n", []),
        (b"", []),
    ],
)
def test_stream_gives_the_events_of_the_standard(stream: bytes, expected: list[SseEvent]) -> None:
    assert parse(stream) == expected
    assert parse(*(bytes([byte]) for byte in stream)) == expected


LINES = st.sampled_from(
    [
        b"data: a",
        b"data:",
        b"data",
        b"data:\xc3\xa9",
        b"event: x",
        b"id: 1",
        b"id",
        b":c",
        b"",
        b"retry: 10",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"data: \xef\xbb",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(
    lines=st.lists(st.tuples(LINES, ENDS), max_size=12),
    has_bom=st.booleans(),
    cuts=st.lists(st.integers(0, 120), max_size=6),
)
def test_any_split_gives_what_the_standard_gives_for_the_whole(
    lines: list[tuple[bytes, bytes]], has_bom: bool, cuts: list[int]
) -> None:
    stream = b"\xef\xbb\xbf" * has_bom + b"".join(line + end for line, end in lines)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    pieces = [stream[a:b] for a, b in pairwise(edges)]

    assert parse(*pieces) == reference(stream)


def test_retry_is_taken_only_as_digits() -> None:
    parser = SseParser()

    parser.feed(b"retry: 2500\nretry: soon\nretry: -1\nretry:\n")

    assert parser.retry_ms == 2500


def test_resumed_stream_keeps_its_cursor_until_the_server_moves_it() -> None:
    parser = SseParser(last_event_id="41")

    assert parser.feed(b"data: a\n\n") == [SseEvent("message", "a", "41")]
    parser.feed(b"id: 42\n")
    assert parser.last_event_id == "41"
    parser.feed(b"\n")
    assert parser.last_event_id == "42"


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: xxxxxxx\n" * 10])
def test_an_endless_event_is_refused(stream: bytes) -> None:
    parser = SseParser(max_event_bytes=64)

    with pytest.raises(MalformedAnswer, match="larger than 64 bytes"):
        parser.feed(stream)


def test_many_small_events_pass_whatever_their_sum() -> None:
    parser = SseParser(max_event_bytes=64)

    assert len(parser.feed(b"data: xxxxxxxx\n\n" * 100)) == 100
