"""A fleet under a trace: sessions arrive, find replicas, lag, move and leave. Discrete events.

Session ids, placement and scaling are the service's own code (`service.routing`,
`service.scaling`); only work and time are made up. Knows nothing about Ray.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.fleet.stage import Replica, StageFleet
from benchmarks.fleet.trace import Loss, Trace, Visit

PERIOD_S = 2.0  # between two looks at loads, lags and targets; as often as replicas report
RETRY_AFTER_S = 5.0  # what a refused session is told
PATIENCE_S = 120.0  # after which it goes for good
BINS_S = np.concatenate([np.linspace(0, 5, 1001), [np.inf]])
NOWHERE = -1


@dataclass(slots=True)
class Outcome:
    """What became of a trace.

    Attributes:
        num_sessions: That wanted in.
        num_waited: Of them, those that were refused at first and let in later.
        num_lost: Those that were never let in.
        num_cut: Sessions that found no place when their replica was taken away by scaling.
        num_moved: Moves of sessions from one replica to another, by scaling or losses, by stage.
        num_chunks: Chunks measured.
        lags: Chunks by lag, over `BINS_S`.
        num_stalled: Chunks of sessions that had no replica of some stage just then.
    """

    num_sessions: int = 0
    num_waited: int = 0
    num_lost: int = 0
    num_cut: int = 0
    num_moved: Counter[str] = field(default_factory=Counter)
    num_chunks: float = 0.0
    num_stalled: float = 0.0
    lags: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(BINS_S) - 1))

    def lag_s(self, share: float) -> float:
        """Lag that this share of the chunks does not exceed, to 5 ms; stalled ones exceed all."""
        total = np.cumsum(self.lags)
        wanted = share * (self.num_chunks + self.num_stalled)
        place = int(np.searchsorted(total, wanted))
        return float(BINS_S[place + 1]) if place < len(self.lags) else float("inf")

    def share_within(self, limit_s: float) -> float:
        """Share of chunks in context within `limit_s`."""
        place = int(np.searchsorted(BINS_S, limit_s))
        all_chunks = self.num_chunks + self.num_stalled
        return float(self.lags[:place].sum() / all_chunks) if all_chunks else 1.0


class Simulation:
    """Runs one trace through the stages, in their order."""

    def __init__(self, stages: Sequence[StageFleet], trace: Trace) -> None:
        self._stages = stages
        self._trace = trace
        self._affine = [stage for stage in stages if stage.model.is_affine]
        # of each session, its replica of each affine stage
        self._owner = np.full((len(self._affine), len(trace.visits)), NOWHERE, dtype=np.int64)
        self._active: dict[int, None] = {}
        self._waiting: list[tuple[float, int]] = []  # (next try, session)
        self._leaving: list[tuple[float, int]] = []
        self.outcome = Outcome(num_sessions=len(trace.visits))

    def run(self) -> Outcome:
        """Run to the end of the trace."""
        visits, losses = list(enumerate(self._trace.visits)), list(self._trace.losses)
        visits.reverse()
        losses.reverse()
        now_s = 0.0
        while now_s < self._trace.lasts_s:
            self._depart(now_s)
            self._retry(now_s)
            while visits and visits[-1][1].at_s <= now_s:
                self._arrive(visits.pop()[0], now_s)
            while losses and losses[-1].at_s <= now_s:
                self._lose(losses.pop(), now_s)
            self._work(now_s)
            self._scale(now_s)
            now_s += PERIOD_S
        return self.outcome

    def _visit(self, session: int) -> Visit:
        return self._trace.visits[session]

    def _arrive(self, session: int, now_s: float) -> None:
        if self._place_all(session, now_s):
            self._active[session] = None
            heapq.heappush(self._leaving, (now_s + self._visit(session).lasts_s, session))
            if now_s - self._visit(session).at_s > PERIOD_S:
                self.outcome.num_waited += 1
        elif now_s - self._visit(session).at_s > PATIENCE_S:
            self.outcome.num_lost += 1
        else:
            heapq.heappush(self._waiting, (now_s + RETRY_AFTER_S, session))

    def _retry(self, now_s: float) -> None:
        while self._waiting and self._waiting[0][0] <= now_s:
            self._arrive(heapq.heappop(self._waiting)[1], now_s)

    def _place_all(self, session: int, now_s: float) -> bool:
        """A place in every stage, or in none."""
        for row, stage in enumerate(self._affine):
            number = stage.place(str(session), now_s)
            if number is None:
                self._leave(session)
                return False
            self._owner[row, session] = number
        return True

    def _leave(self, session: int) -> None:
        for row, stage in enumerate(self._affine):
            if self._owner[row, session] != NOWHERE:
                stage.leave(int(self._owner[row, session]))
                self._owner[row, session] = NOWHERE

    def _depart(self, now_s: float) -> None:
        while self._leaving and self._leaving[0][0] <= now_s:
            session = heapq.heappop(self._leaving)[1]
            self._leave(session)
            self._active.pop(session, None)

    def _lose(self, loss: Loss, now_s: float) -> None:
        stage = next(stage for stage in self._stages if stage.model.name == loss.stage)
        victim = stage.lose(now_s)
        if victim is not None and stage.model.is_affine:
            self._move(stage, victim, now_s)

    def _scale(self, now_s: float) -> None:
        for stage in self._stages:
            for replica in stage.scale(len(self._active), now_s):
                stage.remove(replica)
                if stage.model.is_affine:
                    self.outcome.num_cut += self._move(stage, replica, now_s)

    def _move(self, stage: StageFleet, gone: Replica, now_s: float) -> int:
        """Place the sessions of a replica that is gone; how many found none, for now."""
        row = self._affine.index(stage)
        sessions = np.flatnonzero(self._owner[row] == gone.number)
        num_homeless = 0
        for session in map(int, sessions):
            number = stage.place(str(session), now_s)
            self._owner[row, session] = NOWHERE if number is None else number
            num_homeless += number is None
        self.outcome.num_moved[stage.model.name] += len(sessions) - num_homeless
        return num_homeless

    def _house(self, now_s: float) -> None:
        """Find places for those whose replica died when all others were full."""
        for row, stage in enumerate(self._affine):
            for session in [s for s in self._active if self._owner[row, s] == NOWHERE]:
                number = stage.place(str(session), now_s)
                if number is not None:
                    self._owner[row, session] = number
                    self.outcome.num_moved[stage.model.name] += 1

    def _work(self, now_s: float) -> None:
        self._house(now_s)
        active = np.fromiter(self._active, dtype=np.int64, count=len(self._active))
        lags_s = np.zeros(len(active))
        for stage in self._stages:
            by_replica = stage.work(len(active), now_s, PERIOD_S)
            if stage.model.is_affine:
                owners = self._owner[self._affine.index(stage), active]
                lags_s += np.where(owners == NOWHERE, np.nan, by_replica[owners])
            elif len(active):
                serving = by_replica[~np.isnan(by_replica)]
                lags_s += serving.mean() if len(serving) else np.nan
        if now_s >= self._trace.warm_s:
            stalled = np.isnan(lags_s)
            self.outcome.num_stalled += float(stalled.sum())
            self.outcome.num_chunks += float((~stalled).sum())
            self.outcome.lags += np.histogram(lags_s[~stalled], BINS_S)[0]


__all__ = ["PERIOD_S", "Outcome", "Simulation"]
