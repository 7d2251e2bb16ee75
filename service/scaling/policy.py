"""When replicas are added and taken away. Pure: takes the time, returns what to remember.

Adding is quick and looks ahead: live streams last, so load that grows will have grown further by
the time that a new replica is ready. Taking away is slow: only what nothing asked for during the
whole of `hold_s` goes, since each replica that goes makes its sessions move. Serve's own delays
and factors are set to do nothing around this, so that a simulation meets the very decisions that
a cluster does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SAMPLES = 60  # of the history; the time between two follows from it


@dataclass(frozen=True, slots=True)
class ScalingConfig:
    """How a deployment follows its load.

    Attributes:
        startup_s: From the decision to add a replica until it serves; growth is followed so far
            ahead.
        trend_s: Over how long growth is measured.
        hold_s: For how long nobody must have wanted a replica before it goes.
        slack: Nor may what was wanted have come closer to it than this share of a replica.
    """

    startup_s: float = 60.0
    trend_s: float = 30.0
    hold_s: float = 600.0
    slack: float = 0.25

    def __post_init__(self) -> None:
        if self.startup_s < 0 or self.trend_s <= 0 or self.hold_s < self.trend_s or self.slack < 0:
            raise ValueError(
                "startup_s >= 0, trend_s > 0, hold_s >= trend_s and slack >= 0 are required"
            )


@dataclass(frozen=True, slots=True)
class Sample:
    """What was asked for at a moment.

    Attributes:
        at_s: When.
        demand: Replicas that the load asked for then, the highest since the sample before.
        wanted: Those that were wanted, growth included, likewise.
    """

    at_s: float
    demand: float
    wanted: float


@dataclass(frozen=True, slots=True)
class History:
    """What a deployment asked for lately, oldest first; at most `MAX_SAMPLES` and one."""

    samples: tuple[Sample, ...] = ()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "History":
        """From what `state` gave; anything else is no history."""
        rows = state.get("samples", ())
        return cls(tuple(Sample(*map(float, row)) for row in rows))

    @property
    def state(self) -> dict[str, Any]:
        """As plain numbers in lists."""
        return {"samples": [[s.at_s, s.demand, s.wanted] for s in self.samples]}


def decide(
    history: History, demand: float, now_s: float, target: int, config: ScalingConfig
) -> tuple[int, History]:
    """Decide how many replicas there should be.

    Args:
        history: What this returned last; `History()` at first.
        demand: Replicas that the load asks for now; see `service.scaling.demand`.
        now_s: Any clock that only runs forward.
        target: Replicas that there should be by now, those that start included.
        config: How.

    Returns:
        The new target, at least 1 (bounds are the caller's), and the history.
    """
    wanted = demand + _growth_per_s(history.samples, demand, now_s, config) * config.startup_s
    history = _remember(history, Sample(now_s, demand, wanted), config)
    replicas = _whole(wanted)
    if replicas < target:
        peak = max(sample.wanted for sample in history.samples)
        replicas = min(target, _whole(peak + config.slack))
    return max(replicas, 1), history


def _growth_per_s(
    samples: Sequence[Sample], demand: float, now_s: float, config: ScalingConfig
) -> float:
    """Replicas per second by which demand has grown; 0 where it has not, or is not known."""
    recent = [sample for sample in samples if now_s - sample.at_s <= config.trend_s]
    if not recent or now_s - recent[0].at_s < config.trend_s / 2:
        return 0.0
    return max(0.0, demand - recent[0].demand) / (now_s - recent[0].at_s)


def _remember(history: History, sample: Sample, config: ScalingConfig) -> History:
    kept = [old for old in history.samples if sample.at_s - old.at_s < config.hold_s]
    last = kept[-1] if kept else None
    period_s = min(config.hold_s / MAX_SAMPLES, config.trend_s / 4)
    if last is not None and sample.at_s - last.at_s < period_s:
        demand, wanted = max(last.demand, sample.demand), max(last.wanted, sample.wanted)
        kept[-1] = Sample(last.at_s, demand, wanted)
    else:
        kept.append(sample)
    return History(_thinned(kept))


def _thinned(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Merge the older half by pairs where there are too many; no peak is lost."""
    if len(samples) <= MAX_SAMPLES:
        return tuple(samples)
    half = len(samples) // 4 * 2
    pairs = zip(samples[0:half:2], samples[1:half:2], strict=True)
    merged = [Sample(b.at_s, max(a.demand, b.demand), max(a.wanted, b.wanted)) for a, b in pairs]
    return (*merged, *samples[half:])


def _whole(replicas: float) -> int:
    return math.ceil(round(replicas, 6))  # sums of many shares are a little off


__all__ = ["History", "Sample", "ScalingConfig", "decide"]
