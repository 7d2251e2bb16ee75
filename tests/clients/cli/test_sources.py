from pathlib import Path

from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


def test_sources_are_added_listed_and_removed(service: RunningService, run: Run) -> None:
    service.fake.create()

    added = run("sources", "add", "s0", "rtsp://camera/1")
    listed = run("sources", "list", "s0")
    removed = run("sources", "remove", "s0", "src_0")

    assert (added.code, added.out) == (0, "src_0\n")
    assert "omnisift watch s0" in added.err
    assert "rtsp://camera/1" in listed.out
    assert "connecting" in listed.out
    assert (removed.code, removed.err) == (0, "source src_0 is removed\n")
    assert "omnisift sources add" in run("sources", "list", "s0").err


def test_sources_speak_json(service: RunningService, run: Run) -> None:
    service.fake.create()

    (added,) = run("sources", "add", "s0", "http://h/a.mp4", "--speed", "fast", "--json").json
    (listed,) = run("sources", "list", "s0", "--json").json
    (removed,) = run("sources", "remove", "s0", "src_0", "--json").json

    assert (added["id"], added["speed"]) == ("src_0", "fast")
    assert [source["url"] for source in listed] == ["http://h/a.mp4"]
    assert removed == {"source_id": "src_0", "status": "removed"}


def test_an_unknown_source_is_not_found(service: RunningService, run: Run) -> None:
    service.fake.create()

    assert run("sources", "remove", "s0", "src_9").code == 4


def test_a_recording_is_sent_into_a_new_session(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"media")

    sent = run("upload", str(tmp_path / "clip.mp4"))
    (into,) = run("upload", str(tmp_path / "clip.mp4"), "--session", "s0", "--json").json

    assert (sent.code, sent.out) == (0, "s0\n")
    assert "omnisift watch s0" in sent.err
    assert (into["session_id"], into["source"]["speed"]) == ("s0", "fast")
    assert service.fake.uploads == [("video/mp4", b"media")] * 2


def test_a_missing_file_leaves_no_session(service: RunningService, run: Run) -> None:
    missing = run("upload", "none.mp4")

    assert (missing.code, "none.mp4" in missing.err) == (8, True)
    assert run("sessions", "--json").json == [[]]
