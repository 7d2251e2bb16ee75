import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from clients.cli import main
from tests.clients.fake_service import RunningService


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def run(
    service: RunningService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run one command in this process against the fake service."""
    monkeypatch.setenv("OMNISIFT_URL", service.url)
    monkeypatch.delenv("OMNISIFT_API_KEY", raising=False)

    def run(*argv: str) -> Ran:
        code = main(argv)
        return Ran(code, *capsys.readouterr())

    return run
