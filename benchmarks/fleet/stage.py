"""One stage of a simulated fleet: its replicas, who is on which, and how far each is behind.

A replica is a server whose work flows: what arrives faster than it is done queues up. Within its
means, a chunk waits as in a queue of evenly long jobs with random arrivals (M/D/1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.media.chunk import CHUNK_S
from service.routing import Candidate, SessionBindings
from service.scaling.demand import Target, demand
from service.scaling.policy import History, ScalingConfig, decide

REGRET_S = 120.0  # a replica wanted again within this had better stayed
FULLEST = 0.995  # beyond this share a queue's length is the backlog's to tell
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StageModel:
    """What a stage costs and how it scales.

    Attributes:
        name: Of the deployment.
        work_s: A replica's time per chunk, and per chunk's share of questions.
        max_sessions: A replica holds no more; None: any number.
        is_affine: Sessions stay on their replica; else chunks go to any.
        targets: Of the signals `sessions` and `busy`.
        startup_s: From the decision to a replica that serves.
        drain_s: How long a replica that is taken away serves the sessions that it has.
        full_ratio: A replica that works for more of its time takes no more sessions.
        max_backlog_s: Chunks that wait longer are dropped.
    """

    name: str
    work_s: float
    max_sessions: int | None
    is_affine: bool
    targets: tuple[Target, ...]
    startup_s: float
    drain_s: float = 0.0
    full_ratio: float = 0.85
    max_backlog_s: float = 8.0


@dataclass(slots=True, eq=False)
class Replica:
    """One replica; `serves_from_s` may lie ahead, and `goes_at_s` is set once it drains."""

    number: int
    serves_from_s: float
    goes_at_s: float = math.inf
    num_sessions: int = 0
    backlog_s: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.number:06d}"

    @property
    def is_draining(self) -> bool:
        return self.goes_at_s < math.inf


@dataclass(slots=True, eq=False)
class StageFleet:
    """The replicas of a stage over time.

    Attributes:
        model: What it costs.
        scaling: How it follows its load; None: the number of replicas stays.
        max_replicas: Never more.
        min_replicas: Never fewer, and as many at the start.
        replica_s: Replica-seconds so far.
        num_flaps: Times that a replica was added within `REGRET_S` of one being taken away.
    """

    model: StageModel
    scaling: ScalingConfig | None
    max_replicas: int
    min_replicas: int = 1
    replicas: list[Replica] = field(default_factory=list)
    replica_s: float = 0.0
    num_flaps: int = 0
    _shrunk_at_s: float = -math.inf
    _history: History = field(default_factory=History)
    _bindings: SessionBindings = field(default_factory=SessionBindings)
    _next: int = 0

    def __post_init__(self) -> None:
        for _ in range(self.min_replicas):
            self._add(serves_from_s=0.0)

    def serving(self, now_s: float) -> list[Replica]:
        return [replica for replica in self.replicas if replica.serves_from_s <= now_s]

    def place(self, session: str, now_s: float) -> int | None:
        """Give a session a replica; its number, or None where all that serve are full."""
        free = {
            replica.name: replica
            for replica in self.serving(now_s)
            if not (replica.is_draining or self._is_full(replica))
        }
        if not free:
            return None
        chosen = self._bindings.choose(
            session,
            {name: Candidate(name, replica.num_sessions) for name, replica in free.items()},
        )
        free[chosen].num_sessions += 1
        return free[chosen].number

    def leave(self, number: int) -> None:
        """A session is gone from a replica."""
        for replica in self.replicas:
            if replica.number == number:
                replica.num_sessions -= 1

    def remove(self, replica: Replica) -> None:
        """Take a replica away; its sessions are the caller's to place again."""
        self.replicas.remove(replica)
        self._bindings.retain(other.name for other in self.replicas)

    def lose(self, now_s: float) -> Replica | None:
        """Kill the replica with the most sessions; another starts in its place at once."""
        serving = self.serving(now_s)
        if not serving:
            return None
        victim = max(serving, key=lambda replica: replica.num_sessions)
        self.remove(victim)
        self._add(serves_from_s=now_s + self.model.startup_s)
        return victim

    def work(self, num_active: int, now_s: float, period_s: float) -> Floats:
        """Let all work for a period.

        Returns:
            Lag that each serving replica adds to a chunk, by replica number (NaN elsewhere).
        """
        lags_s = np.full(self._next, np.nan)
        serving = self.serving(now_s)
        shares = self._loads(serving, num_active)
        for replica, load in zip(serving, shares, strict=True):
            behind_s = replica.backlog_s + (load - 1.0) * period_s
            replica.backlog_s = min(max(0.0, behind_s), self.model.max_backlog_s)
            lags_s[replica.number] = self.model.work_s + self._wait_s(load) + replica.backlog_s
        self.replica_s += len(self.replicas) * period_s
        return lags_s

    def scale(self, num_active: int, now_s: float) -> list[Replica]:
        """Follow the load; returns those that are to go now, which are still there."""
        if self.scaling is None:
            return []
        reports = self._reports(num_active, now_s)
        staying = [replica for replica in self.replicas if not replica.is_draining]
        asked = demand(reports, self.model.targets)
        wanted, self._history = decide(
            self._history, asked.replicas, now_s, len(staying), self.scaling
        )
        wanted = min(max(wanted, self.min_replicas), self.max_replicas)
        self._note(wanted - len(staying), now_s)
        for _ in range(wanted - len(staying)):
            self._add(serves_from_s=now_s + self.model.startup_s)
        excess = max(0, len(staying) - wanted)
        for replica in list(reversed(staying))[:excess]:  # Ray takes the newest first
            replica.goes_at_s = now_s + self.model.drain_s
        return [
            replica
            for replica in self.replicas
            if replica.goes_at_s <= now_s or (replica.is_draining and not replica.num_sessions)
        ]

    def _reports(self, num_active: int, now_s: float) -> dict[str, dict[str, float]]:
        """What replicas report of their load; those that drain are no part of a deployment."""
        serving = self.serving(now_s)
        loads = self._loads(serving, num_active)
        pairs = [
            (replica, load)
            for replica, load in zip(serving, loads, strict=True)
            if not replica.is_draining
        ]
        return {
            "sessions": {replica.name: float(replica.num_sessions) for replica, _ in pairs},
            # one that is behind works all the time; it cannot report more
            "busy": {r.name: 1.0 if r.backlog_s > 0 else min(load, 1.0) for r, load in pairs},
            "waiting_chunks": {r.name: r.backlog_s / self.model.work_s for r, _ in pairs},
            "wait_s": {replica.name: replica.backlog_s for replica, _ in pairs},
        }

    def _note(self, step: int, now_s: float) -> None:
        """Count a replica added so soon after one was taken away that it might have stayed."""
        if step < 0:
            self._shrunk_at_s = now_s
        elif step > 0 and now_s - self._shrunk_at_s <= REGRET_S:
            self.num_flaps += 1

    def _loads(self, serving: Sequence[Replica], num_active: int) -> list[float]:
        """Work that arrives per second of each replica."""
        per_session = self.model.work_s / CHUNK_S
        if self.model.is_affine:
            return [replica.num_sessions * per_session for replica in serving]
        return [num_active * per_session / max(len(serving), 1)] * len(serving)

    def _wait_s(self, load: float) -> float:
        share = min(load, FULLEST)
        return share * self.model.work_s / (2 * (1 - share))

    def _is_full(self, replica: Replica) -> bool:
        limit = self.model.max_sessions
        load = (replica.num_sessions + 1) * self.model.work_s / CHUNK_S
        return load > self.model.full_ratio or (limit is not None and replica.num_sessions >= limit)

    def _add(self, *, serves_from_s: float) -> None:
        self.replicas.append(Replica(self._next, serves_from_s))
        self._next += 1


def static_replicas(model: StageModel, num_sessions: int) -> int:
    """Replicas that a fleet of fixed size needs for its busiest hour, at the same targets."""
    asks = []
    for target in model.targets:
        if target.signal == "sessions":
            asks.append(num_sessions / target.per_replica)
        elif target.signal == "busy":
            asks.append(num_sessions * model.work_s / CHUNK_S / target.per_replica)
    return math.ceil(max(asks, default=1.0))


__all__ = ["Replica", "StageFleet", "StageModel", "static_replicas"]
