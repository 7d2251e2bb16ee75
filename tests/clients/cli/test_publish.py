from pathlib import Path

import pytest

from tests.clients.cli.conftest import Run
from tests.clients.clips import make_clip
from tests.clients.fake_service import RunningService

pytestmark = pytest.mark.webrtc


def test_scene_is_published_into_a_new_session(service: RunningService, run: Run) -> None:
    ran = run("publish", "--synthetic", "--duration", "1.5", "--profile", "speech")

    record = service.fake.feed("s0").record
    assert ran.code == 0
    assert ran.out == "s0\n"
    assert 'omnisift ask s0 "what is seen ?"' in ran.err
    assert "00:00  connecting\n" in ran.err
    assert "sent 1.5 s, " in ran.err
    assert "66 % of tokens saved" in ran.err
    assert ran.err.endswith("session s0 stays open for questions\n")
    assert record.profile == "speech"
    assert record.status == "idle"
    assert record.chunks >= 2


def test_file_is_published_into_a_session_that_is_there(
    service: RunningService, run: Run, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", length_s=1.0)
    service.fake.create()

    ran = run("publish", str(clip), "--session", "s0", "--end", "--json")

    begun, done = ran.json
    assert ran.code == 0
    assert begun == {"type": "session", "session_id": "s0", "url": service.url}
    assert done["type"] == "done"
    assert done["reconnects"] == 0
    assert done["sent_s"] == pytest.approx(1.0, abs=0.06)
    assert done["tokens"]["video"]["in"] == 96 * done["chunks"]
    assert service.fake.feed("s0").record.status == "ended"
    assert len(service.fake.feeds) == 1


def test_refused_publisher_leaves_no_empty_session(service: RunningService, run: Run) -> None:
    service.fake.refusals["POST", "/whip"] = (503, "at_capacity", {"Retry-After": "5"})

    ran = run("publish", "--synthetic")

    assert ran.code == 6
    assert ran.err.endswith("omnisift: refused: at_capacity. Try again in 5 s\n")
    assert service.fake.feed("s0").record.status == "ended"


def test_refused_publisher_leaves_the_session_of_another_alone(
    service: RunningService, run: Run
) -> None:
    service.fake.create()
    service.fake.refusals["POST", "/whip"] = (409, "already_publishing", {})

    ran = run("publish", "--synthetic", "--session", "s0")

    assert ran.code == 5
    assert "Leave --session out" in ran.err
    assert service.fake.feed("s0").record.status == "created"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["absent.mp4"], "absent.mp4 cannot be read: No such file or directory"),
        (["--camera", "/dev/video99"], "camera '/dev/video99' cannot be opened"),
    ],
)
def test_source_that_cannot_be_opened_makes_no_session(
    service: RunningService, run: Run, source: list[str], message: str
) -> None:
    ran = run("publish", *source)

    assert (ran.code, ran.out) == (8, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not service.fake.feeds
