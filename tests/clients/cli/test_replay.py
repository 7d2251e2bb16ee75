from pathlib import Path

import pytest

from service.errors import Unavailable
from tests.clients import replays
from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "a.mkv"
    file.write_bytes(b"a recording")
    return str(file)


def test_a_replay_that_is_the_same_says_so(service: RunningService, run: Run, path: str) -> None:
    service.fake.replayed = (replays.SAME, replays.HEARD)

    ran = run("replay", path)

    assert (ran.code, ran.out) == (0, "s_again\n")
    assert "asked 'what ?': 'a bell'\n" in ran.err
    assert "replaying  1 of 3 chunks" in ran.err
    assert ran.err.endswith("same: 1 chunks and 1 answers compared\n")
    assert service.fake.uploads == [("video/x-matroska", b"a recording")]


def test_what_differs_is_named_and_is_an_exit_code(
    service: RunningService, run: Run, path: str
) -> None:
    service.fake.replayed = (replays.SAME, replays.OTHER, replays.FAILED, replays.MISHEARD)

    ran = run("replay", path)

    assert ran.code == 10
    assert "chunk 1 differs: kept, tokens\n" in ran.err
    assert "chunk 2 differs: no room\n" in ran.err
    assert "asked 'what ?': 'a drum', recorded 'a bell'\n" in ran.err
    assert "DIFFERENT: 2 chunks and 1 answers compared; 2 and 1 differ" in ran.err


def test_everything_is_a_line_of_json(service: RunningService, run: Run, path: str) -> None:
    service.fake.replayed = (replays.SAME, replays.DRAWN)

    ran = run("replay", path, "--json")

    assert (ran.code, ran.err) == (0, "")
    assert [line["type"] for line in ran.json] == ["session", "chunk", "answer", "report"]
    assert ran.json[0]["recording"]["session_id"] == "s"
    assert ran.json[1]["kept"] == {"video": 2, "audio": 1}
    assert (ran.json[2]["is_same"], ran.json[2]["reason"]) == (None, "it was drawn")
    assert ran.json[3]["is_same"] is True


def test_a_recording_of_another_version_is_refused_with_a_way_out(
    service: RunningService, run: Run, path: str
) -> None:
    service.fake.refusals["POST", "/replays"] = (409, "recording_differs", {})

    ran = run("replay", path)

    assert (ran.code, ran.out) == (2, "")
    assert "--anyway" in ran.err


def test_anyway_is_passed_on(service: RunningService, run: Run, path: str) -> None:
    assert run("replay", path, "--anyway").code == 0
    assert service.fake.anyway == [True]


def test_a_replay_that_is_broken_off_is_an_error(
    service: RunningService, run: Run, path: str
) -> None:
    service.fake.replayed = (replays.SAME, Unavailable("the session moves"))

    ran = run("replay", path)

    assert ran.code == 6
    assert "the session moves" in ran.err


def test_a_file_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    ran = run("replay", str(tmp_path / "none.mkv"))

    assert ran.code == 8
    assert "none.mkv" in ran.err
