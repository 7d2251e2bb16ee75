import threading
from pathlib import Path

import pytest

from clients.cli import main
from tests.clients.cli.conftest import Run
from tests.clients.clips import make_clip
from tests.clients.fake_service import RunningService

pytestmark = pytest.mark.webrtc


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.cli.sending.POLL_S", 0.05)
    monkeypatch.setattr("clients.cli.sending.RETRY_S", 0.05)


def test_file_is_sent_whole_where_it_should_be_fast(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    service.fake.played = ("ended", None)
    clip = make_clip(tmp_path / "clip.mp4", length_s=0.5)

    ran = run("publish", str(clip), "--fast", "--end", "--json")

    begun, done = ran.json
    assert ran.code == 0
    assert (begun["type"], done["type"], done["chunks"]) == ("session", "done", 1)
    assert [kind for kind, _ in service.fake.uploads] == ["video/mp4"]
    assert service.fake.feed("s0").record.status == "ended"


def test_every_file_of_a_folder_gets_a_session_and_a_bad_one_stops_nothing(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    make_clip(tmp_path / "a.mp4", length_s=0.4)
    (tmp_path / "b.mp4").write_bytes(b"no media at all")
    make_clip(tmp_path / "c.mp4", length_s=0.4)

    ran = run("publish", "--watch", str(tmp_path), "--existing", "--idle", "0.4")

    assert ran.code == 0
    assert ran.out.splitlines() == ["s0", "s1"]
    assert "left out: " in ran.err
    assert "b.mp4 cannot be read: it is damaged, or no media file" in ran.err
    assert ran.err.endswith("3 files; none came for 0.4 s\n")


def test_files_of_a_folder_may_be_fast(service: RunningService, run: Run, tmp_path: Path) -> None:
    service.fake.played = ("ended", None)
    (tmp_path / "a.mp4").write_bytes(b"first")
    (tmp_path / "b.mp4").write_bytes(b"second")

    run("publish", "--watch", str(tmp_path), "--existing", "--fast", "--idle", "0.3")

    assert sorted(content for _, content in service.fake.uploads) == [b"first", b"second"]


def test_service_that_is_full_for_a_moment_gets_the_file_later(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    make_clip(tmp_path / "a.mp4", length_s=0.4)
    service.fake.refusals["POST", "/v1/sessions"] = (503, "at_capacity", {"Retry-After": "1"})
    threading.Timer(0.8, service.fake.refusals.clear).start()

    ran = run("publish", "--watch", str(tmp_path), "--existing", "--idle", "0.3")

    assert "trying a.mp4 again" in ran.err
    assert ran.out == "s0\n"


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["absent.mp4"], 8, "absent.mp4 cannot be read: No such file or directory"),
        (["absent.mp4", "--fast"], 8, "absent.mp4 cannot be read: No such file or directory"),
        (["empty.mp4"], 8, "empty.mp4 cannot be read: it is empty"),
        (["empty.mp4", "--fast"], 8, "empty.mp4 cannot be read: it is empty"),
        (["text.mp4"], 8, "text.mp4 cannot be read: it is damaged, or no media file"),
        (["--watch", "absent"], 8, "absent cannot be watched: there is no such folder"),
        (["--camera", "/dev/video99"], 8, "ls /dev/video*"),
    ],
)
def test_bad_input_says_what_happened_and_makes_no_session(
    service: RunningService,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_bytes(b"hello " * 100)
    monkeypatch.chdir(tmp_path)

    ran = run("publish", *argv)

    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not service.fake.feeds


@pytest.mark.parametrize(
    ("status", "error", "advice"),
    [
        (401, "unauthorized", "a token ends at its time: ask for a new one"),
        (403, "forbidden", "Give a key that has it"),
    ],
)
def test_key_that_may_not_is_told_what_would_help(
    service: RunningService, run: Run, status: int, error: str, advice: str
) -> None:
    service.fake.refusals["POST", "/v1/sessions"] = (status, error, {})

    ran = run("publish", "--synthetic", "--duration", "1")

    assert ran.code == 7
    assert advice in ran.err


@pytest.mark.parametrize(
    "argv",
    [
        "--synthetic --fast",
        "--camera --fast",
        "a.mp4 --fast --loop",
        "a.mp4 --fast --duration 3",
        "a.mp4 --fast --realtime",
        "a.mp4 --existing",
        "a.mp4 --idle 3",
        "a.mp4 --watch folder",
    ],
)
def test_ways_that_do_not_go_together_are_refused(
    argv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["publish", *argv.split()])

    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
