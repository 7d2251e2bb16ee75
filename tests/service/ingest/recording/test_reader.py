import io
import random
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from service.errors import Unprocessable
from service.ingest.recording.journal import Asked, End, Frame, Look, Told, dump_line
from service.ingest.recording.matroska import Block, cluster, head
from service.ingest.recording.reader import decode_png, open_recording, read_header
from service.ingest.recording.tape import encode_png
from service.ingest.source import Picture, Sound
from tests.clips import write_clip
from tests.media import make_pixels
from tests.service.ingest.recording.tapes import HEADER, make_looks, make_tape

TOLD, ASKED = Told("chunk", {"index": 0}), Asked("what ?", "a bell", 2.0, "stop", 2)


def contents(path: Path) -> list[object]:
    """All that a replay would see."""
    recording = open_recording(path)
    found: list[object] = [recording.header, *recording.told, *recording.asked]
    for items, now_s in recording.looks():
        found.append(now_s)
        for item in items:
            is_media = isinstance(item, Picture | Sound)
            found.append(np.asarray(item.convert()).tobytes() if is_media else item)
            found.append((item.at_s, item.arrived_s) if is_media else None)
    return found


def test_a_whole_recording_tells_what_was_told_and_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(make_tape(make_looks(), [TOLD, ASKED], reason="seconds"))

    recording = open_recording(path)

    assert recording.header == HEADER
    assert (list(recording.told), list(recording.asked)) == ([TOLD], [ASKED])
    assert recording.end_reason == "seconds"
    assert len(list(recording.looks())) == 6


def test_a_recording_cut_anywhere_is_told_from_a_whole_one(tmp_path: Path) -> None:
    path, data = tmp_path / "a.mkv", make_tape(make_looks(2), [TOLD])

    for size in [0, 1, *range(100, len(data) - 1, 997), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(Unprocessable, match=r"cut short|no Matroska|no journal"):
            open_recording(path)


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    path, data, draw = tmp_path / "a.mkv", make_tape(make_looks(2), [TOLD]), random.Random(0)

    path.write_bytes(data)
    whole, num_harmless = contents(path), 0
    start = len(head("omnisift-live 0.1.0", sample_rate_hz=16_000))
    for _ in range(60):
        position = draw.randrange(start, len(data))
        damaged = bytearray(data)
        damaged[position] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with suppress(Unprocessable):
            assert contents(path) == whole  # what tells a player when to show it may change
            num_harmless += 1
    assert num_harmless < 10


def test_another_programs_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mkv").write_text("not a recording")
    write_clip(tmp_path / "clip.mkv")

    with pytest.raises(Unprocessable, match="no Matroska"):
        open_recording(tmp_path / "text.mkv")
    with pytest.raises(Unprocessable, match="journal"):
        open_recording(tmp_path / "clip.mkv")
    with pytest.raises(FileNotFoundError):
        open_recording(tmp_path / "nowhere.mkv")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([TOLD, HEADER], "no header"),
        ([HEADER, HEADER], "no header"),
        ([HEADER, End("stopped", 1)], "checksum"),
    ],
)
def test_a_journal_out_of_order_is_refused(
    lines: list[object], reason: str, tmp_path: Path
) -> None:
    data = head("x", sample_rate_hz=16_000)
    for line in lines:
        data += cluster(0.0, [Block("text", 0.0, dump_line(line))])  # type: ignore[arg-type]
    path = tmp_path / "a.mkv"
    path.write_bytes(data)

    with pytest.raises(Unprocessable, match=reason):
        open_recording(path)


def test_another_versions_journal_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(make_tape([], format=9))

    with pytest.raises(Unprocessable, match="format 9"):
        open_recording(path)


def test_media_that_the_journal_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    looks = [([], 1.0)]
    lines = [Look(100.0, (Frame("audio", 100.0, 100.0, 4),))]
    path.write_bytes(make_tape(looks, lines))

    with pytest.raises(Unprocessable, match="missing"):
        contents(path)


@pytest.mark.parametrize("side", [0, 1 << 20])
def test_a_picture_of_absurd_size_is_not_decoded(side: int) -> None:
    data = bytearray(encode_png(make_pixels(7)))
    data[16:24] = struct.pack(">II", side, side)

    with pytest.raises(Unprocessable, match="a picture of"):
        decode_png(bytes(data))


@pytest.mark.parametrize("data", [b"", b"\x89PNG", encode_png(make_pixels(7))[:60]])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Unprocessable):
        decode_png(data)


def test_a_file_that_is_open_is_read_like_one_by_name(tmp_path: Path) -> None:
    data = make_tape(make_looks(), [TOLD, ASKED])
    file = io.BytesIO(data)
    path = tmp_path / "a.mkv"
    path.write_bytes(data)

    recording = open_recording(file)

    assert [now_s for _, now_s in recording.looks()] == [
        now_s for _, now_s in open_recording(path).looks()
    ]
    assert not file.closed


def test_the_header_is_read_from_a_files_beginning() -> None:
    assert read_header(make_tape(make_looks())[:1000]) == HEADER


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        (b"", "no service recorded it"),
        (b"not a film", "no service recorded it"),
        (make_tape([])[:100], "no service recorded it"),
        (make_tape([], format=7), "format 7"),
        (make_tape([]).replace(b'"after_index":-1', b'"after_index":""'), "after_index"),
    ],
)
def test_a_beginning_of_something_else_is_refused(beginning: bytes, reason: str) -> None:
    with pytest.raises(Unprocessable, match=reason):
        read_header(beginning)


def test_a_file_of_nothing_but_words_is_not_held_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.ingest.recording.reader.MAX_KEPT_BYTES", 2000)

    open_recording(io.BytesIO(make_tape([], [TOLD] * 5)))
    with pytest.raises(Unprocessable, match="larger than any"):
        open_recording(io.BytesIO(make_tape([], [TOLD] * 50)))
