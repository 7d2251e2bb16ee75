from collections.abc import Sequence
from pathlib import Path

import pytest

from service.errors import Unprocessable
from service.ingest.cutter import Cutter
from service.ingest.recording.chunks import cut_again
from service.ingest.recording.journal import Frame, Line, Look, Told
from service.ingest.recording.reader import open_recording
from service.media.chunk import MediaChunk
from service.media.chunker import Chunker
from tests.service.ingest.recording.tapes import HEADER, make_looks, make_tape, write_tape


def cut(path: Path, lines: Sequence[Line] = ()) -> list[MediaChunk]:
    return list(cut_again(open_recording(write_tape(path, make_looks(8), lines))))


def dropped(index: int, reason: str) -> Told:
    return Told("dropped", {"index": index, "reason": reason})


def test_chunks_are_those_that_the_cutter_made(tmp_path: Path) -> None:
    cutter = Cutter(Chunker(HEADER.chunker), HEADER.started_at_s, has_thumbnails=False)
    wanted = [chunk for items, now_s in make_looks(8) for chunk in cutter.cut(items, now_s)]

    got = cut(tmp_path / "a.mkv")

    assert len(got) == len(wanted) == 4
    for one, other in zip(got, wanted, strict=True):
        assert (one.index, one.gaps, one.skew_s, one.marks) == (
            other.index,
            other.gaps,
            other.skew_s,
            other.marks,
        )
        assert one.mel.equal(other.mel)
        for grid, expected in zip(one.grids, other.grids, strict=True):
            assert grid is not None
            assert expected is not None
            assert grid.equal(expected)


def test_what_was_given_up_is_given_up_again(tmp_path: Path) -> None:
    lines = [dropped(0, "backlog"), dropped(1, "backlog_video"), dropped(2, "prefill")]

    chunks = cut(tmp_path / "a.mkv", lines)

    assert [chunk.index for chunk in chunks] == [1, 2, 3]
    assert chunks[0].grids == (None, None)
    assert [gap.modality for gap in chunks[0].gaps] == ["video"]
    assert all(grid is not None for grid in chunks[1].grids)


def test_a_late_recording_gives_whole_chunks_only(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(make_tape(make_looks(8)[2:], after_index=0, is_whole=False))

    chunks = list(cut_again(open_recording(path)))

    assert [chunk.index for chunk in chunks] == [1, 2, 3]
    assert not any(chunk.gaps for chunk in chunks)


def test_a_bug_costs_what_had_arrived_as_it_did_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take, failures = Chunker.add_video, [RuntimeError("a bug")]

    def fail_once(self: Chunker, *args: object) -> list[MediaChunk]:
        if failures:
            raise failures.pop()
        return take(self, *args)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Chunker, "add_video", fail_once)

    assert [chunk.index for chunk in cut(tmp_path / "a.mkv")] == [0, 1, 2, 3]
    assert "media lost" in caplog.text


def test_a_damaged_file_is_no_bug(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(make_tape([], [Look(100.0, (Frame("video", 100.0, 100.0, 9),))]))

    with pytest.raises(Unprocessable, match="missing"):
        list(cut_again(open_recording(path)))
