"""A clock that stands still unless work moves it. Knows nothing about the work."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from benchmarks.hardware import synchronize, timer_of
from service.clock import Clock

T = TypeVar("T")


class StageClock:
    """Time as a device would see it that did all the work one thing after another.

    Work takes as long as it is measured to take, from an idle device until it is idle again; what
    the benchmark does in between costs nothing, and waiting for arrivals is skipped.

    Attributes:
        now_s: Seconds since the start.
        busy_s: Time charged to each stage.
    """

    def __init__(
        self, stages: Sequence[str], device: torch.device, timer: Clock | None = None
    ) -> None:
        self.now_s = 0.0
        self.busy_s = dict.fromkeys(stages, 0.0)
        self._device = device
        self._timer = timer or timer_of(device)

    def run(self, call: Callable[[], T]) -> tuple[T, float]:
        """Do some work, which moves the clock; returns its result and how long it took, seconds."""
        synchronize(self._device)
        began_s = self._timer()
        result = call()
        synchronize(self._device)
        took_s = self._timer() - began_s
        self.now_s += took_s
        return result, took_s

    def charge(self, stage: str, took_s: float) -> None:
        """Say what the work was for."""
        self.busy_s[stage] += took_s

    def wait_until(self, at_s: float) -> None:
        """Skip to a moment, unless it is past."""
        self.now_s = max(self.now_s, at_s)


__all__ = ["StageClock"]
