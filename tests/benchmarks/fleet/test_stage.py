import math

import numpy as np
import pytest

from benchmarks.fleet.stage import StageFleet, StageModel, static_replicas
from service.scaling.demand import Target
from service.scaling.policy import ScalingConfig


def model(work_s=0.1, max_sessions=None, *, is_affine=True, **more) -> StageModel:
    targets = (Target("sessions", 6.0), Target("busy", 0.6))
    return StageModel("X", work_s, max_sessions, is_affine, targets, startup_s=30.0, **more)


def test_sessions_spread_over_replicas_that_serve() -> None:
    stage = StageFleet(model(), None, 9, min_replicas=2)
    numbers = [stage.place(str(session), 0.0) for session in range(4)]
    assert sorted(numbers) == [0, 0, 1, 1]


def test_a_full_replica_takes_no_session() -> None:
    stage = StageFleet(model(max_sessions=1), None, 9)
    assert stage.place("a", 0.0) == 0
    assert stage.place("b", 0.0) is None


def test_a_busy_replica_takes_no_session() -> None:
    # each session is 0.4 of its time, and it takes none beyond 0.85
    stage = StageFleet(model(work_s=0.8), None, 9)
    assert [stage.place(name, 0.0) for name in "abc"] == [0, 0, None]


def test_within_its_means_a_replica_adds_work_and_a_queues_wait() -> None:
    stage = StageFleet(model(work_s=0.5), None, 9)
    stage.place("a", 0.0)
    stage.place("b", 0.0)
    # M/D/1 at half load: half a job's time
    assert stage.work(2, 0.0, 2.0)[0] == pytest.approx(0.5 + 0.25)


def test_beyond_its_means_it_falls_behind_until_chunks_are_dropped() -> None:
    stage = StageFleet(model(work_s=3.0, full_ratio=9.0, max_backlog_s=5.0), None, 9)
    stage.place("a", 0.0)
    lags_s = [stage.work(1, 0.0, 2.0)[0] for _ in range(20)]
    assert lags_s[1] - lags_s[0] == pytest.approx(1.0)  # 1.5 s of work for each second
    assert lags_s[-1] == lags_s[-2]


def test_chunks_of_a_stage_without_sessions_go_to_all_replicas() -> None:
    stage = StageFleet(model(work_s=0.1, is_affine=False), None, 9, min_replicas=2)
    lags_s = stage.work(10, 0.0, 2.0)
    assert lags_s[0] == lags_s[1] == pytest.approx(0.1 + 0.25 * 0.1 / (2 * 0.75))


def test_a_new_replica_serves_after_its_start() -> None:
    stage = StageFleet(model(), ScalingConfig(startup_s=30.0), 9)
    for session in range(7):
        stage.place(str(session), 0.0)
    assert stage.scale(7, 0.0) == []
    assert len(stage.replicas) == 2
    assert len(stage.serving(29.0)) == 1
    assert len(stage.serving(30.0)) == 2
    assert np.isnan(stage.work(7, 2.0, 2.0)[1])


def test_a_replica_taken_away_drains_before_it_goes() -> None:
    scaling = ScalingConfig(startup_s=0.0, trend_s=2.0, hold_s=10.0)
    stage = StageFleet(model(drain_s=100.0), scaling, 9, min_replicas=1)
    for session in range(12):
        stage.place(str(session), 0.0)
    stage.scale(12, 0.0)
    newest = stage.replicas[-1]
    held = stage.place("late", 30.0)
    assert held == newest.number
    for _ in range(11):
        stage.leave(0)
    assert all(stage.scale(2, at_s) == [] for at_s in range(30, 60, 2))
    assert newest.is_draining
    assert stage.place("later", 60.0) == 0
    stage.leave(held)
    assert stage.scale(1, 62.0) == [newest]


def test_a_fixed_fleet_is_sized_by_its_scarcest_resource() -> None:
    assert static_replicas(model(work_s=0.1), 60) == 10
    assert static_replicas(model(work_s=1.2), 60) == 60
    assert static_replicas(model(), 1) == 1


def test_a_lost_replica_is_replaced() -> None:
    stage = StageFleet(model(), None, 9, min_replicas=2)
    stage.place("a", 0.0)
    victim = stage.lose(10.0)
    assert victim is not None
    assert victim.num_sessions == 1
    assert len(stage.serving(10.0)) == 1
    assert len(stage.serving(40.0)) == 2
    assert not math.isfinite(stage.replicas[-1].goes_at_s)
