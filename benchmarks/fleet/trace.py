"""When live sessions come and go, and when replicas are lost. Pure and seeded."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Visit:
    """One session.

    Attributes:
        at_s: When it wants to begin.
        lasts_s: For how long it streams.
    """

    at_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Loss:
    """A replica that dies; the one with the most sessions, to be fair to nobody."""

    at_s: float
    stage: str


@dataclass(frozen=True, slots=True)
class Trace:
    """What happens to a fleet.

    Attributes:
        name: Of the table's row.
        lasts_s: Length of the run.
        visits: In order of time.
        losses: In order of time.
        warm_s: Sessions that begin before are there when measuring begins.
    """

    name: str
    lasts_s: float
    visits: Sequence[Visit]
    losses: Sequence[Loss] = ()
    warm_s: float = 0.0


def ramp(num_sessions: int, *, over_s: float = 1800.0, seed: int = 0) -> Trace:
    """Sessions that come one by one, stay, and leave one by one."""
    rng = random.Random(seed)
    lasts_s = 3 * over_s
    visits = [
        Visit(number * over_s / num_sessions, over_s + rng.uniform(0, over_s))
        for number in range(num_sessions)
    ]
    return Trace("ramp", lasts_s, visits)


def flash_crowd(
    num_sessions: int, *, share_before: float = 0.2, within_s: float = 60.0, seed: int = 0
) -> Trace:
    """A steady fifth of the crowd, and then all of it within a minute, for half an hour."""
    rng = random.Random(seed)
    lasts_s = 2 * HOUR_S
    num_before = max(1, int(num_sessions * share_before))
    visits = [Visit(rng.uniform(0, 600.0), lasts_s) for _ in range(num_before)]
    visits += [
        Visit(1800.0 + rng.uniform(0, within_s), 1800.0 + rng.uniform(0, 300.0))
        for _ in range(num_sessions - num_before)
    ]
    return Trace("flash crowd", lasts_s, sorted(visits), warm_s=900.0)


def diurnal(
    num_sessions: int,
    *,
    lasts_s: float = 24 * HOUR_S,
    low_share: float = 0.1,
    mean_s: float = 1200.0,
    seed: int = 0,
) -> Trace:
    """A day: most sessions in its middle, a tenth of them at night; Poisson arrivals."""

    def wanted(at_s: float) -> float:
        swing = 0.5 - 0.5 * math.cos(2 * math.pi * at_s / lasts_s)
        return num_sessions * (low_share + (1 - low_share) * swing)

    visits = _poisson(lambda at_s: wanted(at_s) / mean_s, num_sessions / mean_s, lasts_s, seed)
    rng = random.Random(seed + 1)
    return Trace(
        "diurnal",
        lasts_s,
        [Visit(at_s, rng.expovariate(1 / mean_s)) for at_s in visits],
        warm_s=HOUR_S,
    )


def replica_loss(
    num_sessions: int, stages: Sequence[str], *, every_s: float = 600.0, seed: int = 0
) -> Trace:
    """A steady load whose replicas die, one of each stage in turn."""
    rng = random.Random(seed)
    first_s = 1800.0
    losses = [Loss(first_s + number * every_s, stage) for number, stage in enumerate(stages)]
    lasts_s = first_s + (len(stages) + 1) * every_s
    visits = sorted(Visit(rng.uniform(0, 900.0), lasts_s) for _ in range(num_sessions))
    return Trace("replica loss", lasts_s, visits, losses, warm_s=first_s - 60.0)


def _poisson(
    rate_per_s: Callable[[float], float], highest_per_s: float, lasts_s: float, seed: int
) -> list[float]:
    """Arrivals of a rate that varies, by thinning those of the highest."""
    rng = random.Random(seed)
    at_s, found = 0.0, []
    while (at_s := at_s + rng.expovariate(highest_per_s)) < lasts_s:
        if rng.random() * highest_per_s < rate_per_s(at_s):
            found.append(at_s)
    return found


__all__ = ["HOUR_S", "Loss", "Trace", "Visit", "diurnal", "flash_crowd", "ramp", "replica_loss"]
