"""`python -m service serve` in a process of its own, on a free port, and all that it starts."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.free_port import free_port

START_WITHIN_S = 180.0
MARK = "OMNISIFT_TEST_RUN"


class Serving:
    """The service in a process group of its own, as a shell starts it."""

    def __init__(self, log: Path, settings: Mapping[str, str]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._mark = secrets.token_hex(8)
        self._log = log
        environment = os.environ | {
            "OMNISIFT_HOST": "127.0.0.1",
            "OMNISIFT_PORT": self.url.rpartition(":")[2],
            "RAY_USAGE_STATS_ENABLED": "0",
            MARK: self._mark,
        }
        environment |= settings
        with log.open("w") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"],
                env=environment,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def processes(self) -> dict[int, str]:
        """Names, by id, of all that were started for it and still run, itself included."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "comm").read_text().strip()
        return found

    def wait_for(self, condition: Callable[[], object]) -> None:
        until_s = time.monotonic() + START_WITHIN_S
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until_s, self.log
            time.sleep(0.2)

    def wait_ready(self) -> None:
        """Return once it has said that it is ready."""
        self.wait_for(lambda: "is ready" in self.log)


@contextmanager
def serving_at(log: Path, **settings: str) -> Iterator[Serving]:
    """Start it, with settings by the names of their variables; afterwards nothing of it runs."""
    serving = Serving(log, settings)
    try:
        yield serving
    finally:
        for pid in serving.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        serving.process.wait(10)
