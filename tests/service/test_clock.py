import time

import pytest

from service.clock import steady_clock


def test_it_tells_unix_time() -> None:
    assert steady_clock()() == pytest.approx(time.time(), abs=1.0)


def test_it_does_not_follow_the_wall_clock_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = steady_clock()
    before_s = clock()

    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert clock() >= before_s
