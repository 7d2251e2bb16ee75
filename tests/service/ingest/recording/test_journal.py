import random

import pytest

from service.ingest.recording.journal import (
    MAX_LINE_BYTES,
    Asked,
    Began,
    End,
    Frame,
    Left,
    Line,
    Look,
    Told,
    dump_line,
    parse_line,
)
from service.sessions.record import Manner
from tests.service.ingest.recording.tapes import HEADER

LINES: list[Line] = [
    HEADER,
    Look(100.5, (Began(True, False, 100.0), Frame("video", 100.1, 100.2, 7), Left())),
    Look(100.5, ()),
    Told("chunk", {"index": 3, "kept": {"video": [[1, 2], []], "audio": [0]}}),
    Asked("what ?", "a bell", 4.0, "stop", 2),
    Asked("what ?", "a bell", 4.0, "stop", 2, Manner(0.5, 0.9, 3, (".",), 2.0, 4.0, 8.0, 3)),
    End("too_slow", 0xFFFFFFFF),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.type)
def test_a_line_is_read_as_it_was_written(line: Line) -> None:
    assert parse_line(dump_line(line)) == line


def test_times_keep_every_bit() -> None:
    draw = random.Random(0)
    times_s = [1_764_000_000 + draw.random() * 10 ** draw.randint(-9, 6) for _ in range(2000)]

    for at_s in times_s:
        assert parse_line(dump_line(Look(at_s, ()))) == Look(at_s, ())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"[]",
        b'{"type":"song"}',
        b'{"type":"look","now_s":"soon","items":[]}',
        b'{"type":"look","now_s":1,"items":[{"kind":"smell"}]}',
        b'{"type":"end","reason":"boredom","crc32":0}',
        b"\xff\xfe",
        b'{"type":"look","now_s":1,"items":[' + b" " * MAX_LINE_BYTES + b"]}",
    ],
)
def test_what_is_no_line_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_line(data)


def test_a_headers_limits_are_checked_like_any_field() -> None:
    data = dump_line(HEADER).replace(b'"max_pixels":3136', b'"max_pixels":"many"')

    with pytest.raises(ValueError, match="max_pixels"):
        parse_line(data)
