"""The service's own scaling and placement, driven through what live fleets meet."""

import pytest

from benchmarks.capacity import fleet
from benchmarks.fleet.costs import Costs, stage_models
from benchmarks.fleet.simulation import Outcome, Simulation
from benchmarks.fleet.stage import static_replicas
from benchmarks.fleet.trace import HOUR_S, Trace, Visit, diurnal, flash_crowd, ramp, replica_loss
from benchmarks.load import MAX_LAG_S
from service.scaling.policy import ScalingConfig
from service.settings import IngestSettings, Settings

# of an AMD EPYC core, the embedded model
COSTS = Costs(0.198, 0.0211, 0.0007, 0.015, 44_795, "test")
PEAK = 60
SETTINGS = Settings(ingest=IngestSettings(drain_s=1200.0))
STAGES = ["Ingest", "Encoder", "Compressor", "LLM"]
TRACES = [
    ramp(PEAK),
    flash_crowd(PEAK),
    diurnal(PEAK, lasts_s=6 * HOUR_S),
    replica_loss(PEAK, STAGES),
]


def simulate(trace: Trace, scaling: ScalingConfig | None = ScalingConfig()):  # noqa: B008 - frozen
    stages = fleet(stage_models(COSTS, SETTINGS), scaling, PEAK)
    return Simulation(stages, trace).run(), stages


@pytest.fixture(scope="module", params=TRACES, ids=lambda trace: trace.name)
def run(request):
    outcome, stages = simulate(request.param)
    return request.param, outcome, stages


def test_chunks_are_in_context_in_time(run) -> None:
    _, outcome, _ = run
    assert outcome.share_within(MAX_LAG_S) > 0.999
    assert outcome.lag_s(0.99) < MAX_LAG_S


def test_no_session_is_cut_by_scaling_and_none_is_turned_away_for_good(run) -> None:
    _, outcome, _ = run
    assert outcome.num_cut == 0
    assert outcome.num_lost == 0


def test_replicas_do_not_flap(run) -> None:
    trace, _, stages = run
    # chance alone brings a few crowds of arrivals in a day
    assert sum(stage.num_flaps for stage in stages) <= trace.lasts_s / HOUR_S / 3


def test_fewer_replicas_run_than_a_fixed_fleet_has(run) -> None:
    trace, _, stages = run
    hours = sum(stage.replica_s for stage in stages)
    fixed = sum(max(2, static_replicas(stage.model, PEAK)) for stage in stages) * trace.lasts_s
    assert hours < fixed


def test_a_fleet_that_does_not_scale_turns_the_crowd_away() -> None:
    stages = fleet(stage_models(COSTS, SETTINGS), None, 5)
    outcome = Simulation(stages, flash_crowd(PEAK)).run()
    assert outcome.num_lost > 10


def test_sessions_of_a_lost_replica_move_and_go_on() -> None:
    outcome, _ = simulate(replica_loss(PEAK, STAGES))
    assert outcome.num_moved["Ingest"] > 0
    assert outcome.num_moved["LLM"] > 0
    assert outcome.num_stalled == 0


def test_lags_are_counted_by_share() -> None:
    trace = Trace("one", 100.0, [Visit(0.0, 100.0)])
    outcome, _ = simulate(trace)
    alone_s = COSTS.ingest_s + COSTS.encode_s + COSTS.compress_s + COSTS.llm_s
    assert outcome.num_chunks == 50
    assert alone_s <= outcome.lag_s(0.5) < alone_s + 0.05
    assert Outcome().share_within(1.0) == 1.0
