import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.cli import main
from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService

SCRIPT = Path(sys.executable).parent / "omnisift"


@contextmanager
def started(service: RunningService, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """The console program in a process of its own."""
    with subprocess.Popen(
        [str(SCRIPT), *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMNISIFT_URL": service.url},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_program_runs(service: RunningService) -> None:
    service.fake.add_chunk(service.fake.create())

    with started(service, "ask", "s0", "what is seen ?") as process:
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (0, "a red circle\n")
    assert err.startswith("stop after 3 tokens")


@pytest.mark.webrtc
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_stopping_a_publisher_says_goodbye_to_the_service(
    service: RunningService, sent: signal.Signals, code: int
) -> None:
    with started(service, "publish", "--synthetic") as process:
        wait_for(lambda: service.fake.feeds and service.fake.feed("s0").record.chunks)
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)

    assert process.returncode == code
    assert out == "s0\n"
    assert "Traceback" not in err
    assert ("DELETE", "/v1/sessions/s0/whip/r0") in [r[:2] for r in service.fake.requests]


def test_ctrl_c_ends_watching_without_a_trace(service: RunningService) -> None:
    service.fake.create()

    with started(service, "watch", "s0") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert err == "interrupted\n"


def test_reader_that_leaves_is_no_error(service: RunningService) -> None:
    feed = service.fake.create()
    for _ in range(300):
        service.fake.add_chunk(feed)
    service.fake.set_status(feed, "ended")

    command = f"'{SCRIPT}' watch s0 --json | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "OMNISIFT_URL": service.url},
    )

    assert done.stderr == ""
    assert done.returncode == 0


def test_module_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clients.cli", "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout.startswith("omnisift ")


def test_service_that_is_not_there_is_one_clear_line(run: Run) -> None:
    ran = run("--url", "http://127.0.0.1:9", "sessions")

    assert ran.code == 3
    assert ran.err.startswith("omnisift: http://127.0.0.1:9 cannot be reached")
    assert "make serve" in ran.err
    assert ran.err.count("\n") == 1


def test_key_comes_from_the_environment_or_the_option(
    service: RunningService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.fake.api_key = "secret"

    refused = run("sessions")
    by_option = run("sessions", "--api-key", "secret")
    monkeypatch.setenv("OMNISIFT_API_KEY", "secret")
    by_environment = run("sessions")

    assert (refused.code, by_option.code, by_environment.code) == (7, 0, 0)
    assert "OMNISIFT_API_KEY" in refused.err


@pytest.mark.parametrize(
    "argv",
    [
        "sessions show",
        "sessions end",
        "sessions list s0",
        "publish --synthetic --loop",
        "publish a.mp4 --session s0 --profile live",
        "ask",
        "ask s0",
        "ask s0 what is this",
        "ask s0 what --profile live",
        "ask s0 what --image a.png",
        "ask --image a.png",
        "ask s0 what --dance",
        "sessions show s0 s1",
    ],
)
def test_options_that_do_not_go_together_are_refused(
    argv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv.split())

    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
