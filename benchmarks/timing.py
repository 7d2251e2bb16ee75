"""Times contenders in turn: warm-up, repeats, medians. Knows nothing of what it times."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmarks.hardware import synchronize, timer_of

# just under the size above which glibc always asks the kernel for memory
_KEPT_BYTES = 31 * 2**20


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often to repeat: until `budget_s` is spent, within limits.

    Attributes:
        budget_s: Time for the repeats of all contenders together, seconds.
        at_least: Rounds, whatever they take.
        at_most: Rounds, however short they are.
    """

    budget_s: float
    at_least: int = 3
    at_most: int = 200


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one contender, seconds, round by round."""

    times_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.times_s)

    def speedup_over(self, other: "Timing") -> float:
        """How many times faster than a contender of the same rounds: the median of their ratios.

        Both sides of a ratio ran next to each other, so a machine that slows down for a while
        slows both.
        """
        pairs = zip(other.times_s, self.times_s, strict=True)
        return statistics.median(slow / fast for slow, fast in pairs)


def time_in_turn(
    calls: Mapping[str, Callable[[], object]], device: torch.device, repeats: Repeats
) -> dict[str, Timing]:
    """Time calls by `timer_of`, each from an idle device until it is idle again.

    Every round runs each call once, in the order given; the first round does not count.
    """
    rounds = [{name: _time_s(call, device) for name, call in calls.items()}]
    began_s = time.perf_counter()
    while len(rounds) <= repeats.at_least or (
        time.perf_counter() - began_s < repeats.budget_s and len(rounds) <= repeats.at_most
    ):
        rounds.append({name: _time_s(call, device) for name, call in calls.items()})
    return {name: Timing(tuple(one[name] for one in rounds[1:])) for name in calls}


def settle_allocator() -> None:
    """Make the C library reuse what is freed, as in a process that has run for a while.

    glibc maps large blocks anew, page fault by page fault, until it has seen one of that size
    freed. Whether it has depends on what ran before, and changes the times of a CPU by half.
    """
    torch.ones(_KEPT_BYTES, dtype=torch.uint8)


def _time_s(call: Callable[[], object], device: torch.device) -> float:
    timer = timer_of(device)
    synchronize(device)
    began_s = timer()
    call()
    synchronize(device)
    return timer() - began_s


__all__ = ["Repeats", "Timing", "settle_allocator", "time_in_turn"]
