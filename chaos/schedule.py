"""Which faults happen, in which order: a pure function of the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice


class Part(StrEnum):
    """What is hit; deployments by their name."""

    INGEST = "Ingest"
    ENCODER = "Encoder"
    COMPRESSOR = "Compressor"
    LLM = "LLM"
    API = "Api"
    REDIS = "Redis"
    NETWORK = "network"


class Harm(StrEnum):
    """What is done to it: SIGKILL, SIGSTOP for a while, bad weather for datagrams, or silence.

    A partition keeps all of the publishers' datagrams from the service, or leaves the service's
    connections to Redis open with nobody at their end.
    """

    KILL = "kill"
    PAUSE = "pause"
    LOSS = "loss"
    PARTITION = "partition"


KILLED = (Part.COMPRESSOR, Part.LLM, Part.INGEST, Part.REDIS, Part.ENCODER, Part.API)
PAUSED = (Part.COMPRESSOR, Part.LLM, Part.INGEST)
REDIS_AWAY_S = 1.0
PAUSE_S = 4.0
LOSS_S = 6.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `duration_s` is how long it lasts, or Redis is away.

    A replica that is killed is replaced by Ray Serve.
    """

    harm: Harm
    part: Part
    duration_s: float = 0.0

    @property
    def silent_s(self) -> float:
        """For how long nothing can recover from it."""
        return self.duration_s if self.harm is Harm.PARTITION else 0.0

    def __str__(self) -> str:
        return f"{self.harm} {self.part}"


PARTITIONS = (
    Fault(Harm.PARTITION, Part.NETWORK, 6.0),
    Fault(Harm.PARTITION, Part.REDIS, 4.0),
)


def kill(part: Part) -> Fault:
    return Fault(Harm.KILL, part, REDIS_AWAY_S if part is Part.REDIS else 0.0)


def plan(
    seed: int,
    *,
    num_kills: int,
    num_pauses: int = 0,
    num_losses: int = 0,
    num_partitions: int = 0,
) -> list[Fault]:
    """Draw an order; every part is hit as often as every other, give or take one."""
    draw = random.Random(seed)
    faults = [kill(part) for part in _turns(draw, KILLED, num_kills)]
    faults += [Fault(Harm.PAUSE, part, PAUSE_S) for part in _turns(draw, PAUSED, num_pauses)]
    faults += [Fault(Harm.LOSS, Part.NETWORK, LOSS_S)] * num_losses
    faults += islice(cycle(PARTITIONS), num_partitions)
    draw.shuffle(faults)
    return faults


def _turns(draw: random.Random, parts: Sequence[Part], number: int) -> list[Part]:
    order = draw.sample(parts, len(parts))
    return [order[turn % len(order)] for turn in range(number)]


__all__ = ["Fault", "Harm", "Part", "kill", "plan"]
