from pathlib import Path

from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


def test_a_recording_becomes_a_file(service: RunningService, run: Run, tmp_path: Path) -> None:
    service.fake.create()
    path = tmp_path / "a.mkv"

    ran = run("record", "s0", "-o", str(path), "--seconds", "2")

    assert (ran.code, ran.out) == (0, f"{path}\n")
    assert "its time was over" in ran.err
    assert path.read_bytes() == b"".join(service.fake.recording)
    assert list(tmp_path.iterdir()) == [path]


def test_it_says_in_json_why_it_ended(service: RunningService, run: Run, tmp_path: Path) -> None:
    service.fake.create()
    service.fake.recording = (b'media{"reason":"too_', b'slow","crc32":12,"type":"end"}')

    (told,) = run("record", "s0", "-o", str(tmp_path / "a.mkv"), "--json").json

    assert (told["end_reason"], told["size_bytes"]) == ("too_slow", 50)


def test_a_recording_without_an_end_is_no_recording(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    service.fake.create()
    service.fake.recording = (b"media",)

    ran = run("record", "s0", "-o", str(tmp_path / "a.mkv"))

    assert ran.code == 3
    assert "cut short" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv.part"]


def test_nothing_recorded_leaves_no_file(service: RunningService, run: Run, tmp_path: Path) -> None:
    service.fake.create()
    service.fake.recording = ()

    ran = run("record", "s0", "-o", str(tmp_path / "a.mkv"))

    assert (ran.code, list(tmp_path.iterdir())) == (3, [])
    assert "nobody published" in ran.err


def test_a_file_that_cannot_be_written_is_told(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    service.fake.create()

    ran = run("record", "s0", "-o", str(tmp_path / "nowhere" / "a.mkv"))

    assert ran.code == 8
    assert "cannot be written" in ran.err


def test_a_refused_recording_leaves_no_file(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    service.fake.create()
    service.fake.refusals["GET", "/recording"] = (403, "forbidden", {})

    ran = run("record", "s0", "-o", str(tmp_path / "a.mkv"))

    assert (ran.code, list(tmp_path.iterdir())) == (7, [])
