import pytest

from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


@pytest.mark.webrtc
def test_healthy_service_is_told_line_by_line(service: RunningService, run: Run) -> None:
    ran = run("doctor")

    lines = [line.split() for line in ran.out.splitlines() if not line.startswith(" ")]
    levels = {check: level for level, check, *_ in lines}
    assert ran.code == 0
    assert list(levels)[:5] == ["service", "ready", "clock", "key", "model"]
    assert {levels[check] for check in ("service", "clock", "codecs", "ICE", "media")} == {"ok"}


def test_failure_has_an_exit_code_of_its_own_and_json(run: Run) -> None:
    ran = run("doctor", "--url", "http://127.0.0.1:9", "--json")

    (report,) = ran.json
    assert ran.code == 9
    assert report["is_healthy"] is False
    assert report["checks"][0]["check"] == "service"
    assert report["checks"][0]["advice"]


def test_wrong_url_is_one_line(run: Run) -> None:
    ran = run("doctor", "--url", "ftp://nowhere")

    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
