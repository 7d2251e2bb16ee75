import pytest

from clients.cli import main
from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


@pytest.mark.webrtc
def test_result_is_one_json_object(run: Run) -> None:
    ran = run("bench", "--duration", "1", "--ask-every", "0.3", "--json")

    (told,) = ran.json
    assert ran.code == 0
    assert told["publishers"] == 1
    assert told["chunks"] > 0
    assert told["lag_s"]["p50"] == 1.25


@pytest.mark.webrtc
def test_failed_publisher_is_told_and_by_the_exit_code(service: RunningService, run: Run) -> None:
    service.fake.refusals["POST", "/whip"] = (503, "at_capacity", {})

    ran = run("bench", "--duration", "1")

    assert ran.code == 1
    assert "a publisher failed: refused: at_capacity" in ran.err
    assert ran.out.splitlines()[0].startswith("publisher  chunks  dropped")


def test_no_publishers_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--publishers", "0"])

    assert caught.value.code == 2
    assert "not above zero" in capsys.readouterr().err
