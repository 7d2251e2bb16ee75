"""How many replicas the load of a deployment asks for. Pure; knows nothing about what runs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """How much of one signal a replica is meant to carry.

    Attributes:
        signal: Its name, as replicas report it: `sessions`, `busy`, `wait_s`, `pages`, ...
        per_replica: The amount that one replica is meant to carry, above 0; what it could carry
            at most is more, so that there is room until the next replica runs.
    """

    signal: str
    per_replica: float

    def __post_init__(self) -> None:
        if self.per_replica <= 0:
            raise ValueError(f"{self.signal}: {self.per_replica} per replica must be above 0")


@dataclass(frozen=True, slots=True)
class Demand:
    """The load of a deployment in replicas.

    Attributes:
        replicas: As many, not rounded, would carry it at their targets.
        signal: The signal that asks for the most; "" without any load.
    """

    replicas: float
    signal: str = ""


def demand(reports: Mapping[str, Mapping[str, float]], targets: Sequence[Target]) -> Demand:
    """Return what the scarcest of the resources asks for.

    Args:
        reports: By signal, what each replica reports of it. A signal that nobody reports asks for
            nothing.
        targets: The signals that count.
    """
    asks = [
        Demand(sum(reports.get(target.signal, {}).values()) / target.per_replica, target.signal)
        for target in targets
    ]
    most = max(asks, key=lambda ask: ask.replicas, default=Demand(0.0))
    return most if most.replicas > 0 else Demand(0.0)


__all__ = ["Demand", "Target", "demand"]
