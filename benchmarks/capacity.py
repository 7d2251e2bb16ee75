"""How many replicas so many live streams need, and how the fleet follows them.

    python -m benchmarks.capacity [--streams 10 100 1000 10000] [--peak 300] [--costs costs.json]
        [--save-costs costs.json] [--device cuda --dtype bfloat16 --size 7b]

Costs per stage are measured on this machine (half a minute), or read from `--costs`. Placement and
scaling in the simulation are the service's own code (`service.routing`, `service.scaling`) with the
targets of its settings (`OMNISIFT_*`); what is simulated is work, time, arrivals and losses. The
last line is one JSON object.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks import streams
from benchmarks.fleet.costs import Costs, load_costs, measure_costs, stage_models
from benchmarks.fleet.simulation import Outcome, Simulation
from benchmarks.fleet.stage import StageFleet, StageModel, static_replicas
from benchmarks.fleet.trace import (
    HOUR_S,
    Trace,
    Visit,
    diurnal,
    flash_crowd,
    ramp,
    replica_loss,
)
from benchmarks.hardware import measure_hardware
from benchmarks.load import MAX_LAG_S
from benchmarks.models import SIZES, models_of
from benchmarks.timing import settle_allocator
from service.media.chunk import CHUNK_S
from service.scaling.policy import ScalingConfig
from service.settings import Settings

TRACES = ("ramp", "flash crowd", "diurnal", "replica loss")
MIN_REPLICAS = 2  # so that sessions of one that dies have somewhere to go at once
MAX_REPLICAS = 100_000  # of a stage; nothing but the load limits them


def fleet(
    models: Sequence[StageModel], scaling: ScalingConfig | None, num_sessions: int
) -> list[StageFleet]:
    """Stages that follow their load, or, without `scaling`, are sized for `num_sessions`."""
    return [
        StageFleet(
            model,
            scaling,
            MAX_REPLICAS,
            min_replicas=MIN_REPLICAS
            if scaling
            else max(MIN_REPLICAS, static_replicas(model, num_sessions)),
        )
        for model in models
    ]


def steady(num_sessions: int) -> Trace:
    """Streams that are all there, for ten minutes."""
    lasts_s = 900.0
    return Trace("steady", lasts_s, [Visit(0.0, lasts_s)] * num_sessions, warm_s=300.0)


def traces(peak: int, models: Sequence[StageModel]) -> list[Trace]:
    """What a fleet has to live through."""
    names = [model.name for model in models]
    return [ramp(peak), flash_crowd(peak), diurnal(peak), replica_loss(peak, names)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and the JSON object last."""
    options = _parse(arguments)
    settings = Settings()
    costs = load_costs(options.costs) if options.costs else _measure(options)
    if options.save_costs:
        costs.save(options.save_costs)
    models = stage_models(costs, settings)
    _print_costs(costs, models)
    summary: dict[str, object] = {"benchmark": "capacity", "costs": asdict(costs)}
    summary["streams"] = _sizes(options.streams, models, costs)
    scaling = ScalingConfig(
        settings.scaling.startup_s, settings.scaling.trend_s, settings.scaling.hold_s
    )
    summary["traces"] = _traces(options.traces, options.peak, models, scaling)
    print(json.dumps(summary))


def _sizes(
    sizes: Sequence[int], models: Sequence[StageModel], costs: Costs
) -> dict[int, dict[str, float]]:
    names = "  ".join(f"{model.name:>10}" for model in models)
    print(f"\nreplicas for steady streams\n{'streams':>8}  {names}  lag p99   log written")
    found = {}
    for num_sessions in sizes:
        stages = fleet(models, None, num_sessions)
        outcome = Simulation(stages, steady(num_sessions)).run()
        counts = {stage.model.name: len(stage.replicas) for stage in stages}
        log_mb = num_sessions * costs.log_bytes / CHUNK_S / 1e6
        row = "  ".join(f"{count:10d}" for count in counts.values())
        lag_s = outcome.lag_s(0.99)
        print(f"{num_sessions:8d}  {row}  {lag_s:5.2f} s  {log_mb:8.2f} MB/s", flush=True)
        found[num_sessions] = {**counts, "lag_p99_s": lag_s, "log_mb_per_s": round(log_mb, 3)}
    return found


_HEAD = (
    "trace          streams  in time  lag p99  refused   lost    cut  reconnected  rebuilt  flaps"
    "   replica-hours  of fixed fleet"
)


def _traces(
    names: Sequence[str], peak: int, models: Sequence[StageModel], scaling: ScalingConfig
) -> dict[str, dict[str, float]]:
    print(f"\nfollowing up to {peak} streams\n{_HEAD}")
    found = {}
    for trace in traces(peak, models):
        if trace.name not in names:
            continue
        stages = fleet(models, scaling, peak)
        outcome = Simulation(stages, trace).run()
        found[trace.name] = _row(trace, stages, outcome, peak)
    return found


def _row(
    trace: Trace, stages: Sequence[StageFleet], outcome: Outcome, peak: int
) -> dict[str, float]:
    hours = sum(stage.replica_s for stage in stages) / HOUR_S
    fixed = (
        sum(max(MIN_REPLICAS, static_replicas(stage.model, peak)) for stage in stages)
        * trace.lasts_s
        / HOUR_S
    )
    row = {
        "sessions": outcome.num_sessions,
        "in_time_ratio": round(outcome.share_within(MAX_LAG_S), 5),
        "lag_p99_s": round(outcome.lag_s(0.99), 3),
        "refused": outcome.num_waited + outcome.num_lost,
        "lost": outcome.num_lost,
        "cut": outcome.num_cut,
        "reconnected": outcome.num_moved["Ingest"],
        "rebuilt": outcome.num_moved["Compressor"] + outcome.num_moved["LLM"],
        "flaps": sum(stage.num_flaps for stage in stages),
        "replica_hours": round(hours, 2),
        "fixed_ratio": round(hours / fixed, 3),
    }
    print(
        f"{trace.name:13} {row['sessions']:8d} {row['in_time_ratio']:8.2%} "
        f"{row['lag_p99_s']:6.2f} s {row['refused']:8d} {row['lost']:6d} {row['cut']:6d} "
        f"{row['reconnected']:12d} {row['rebuilt']:8d} {row['flaps']:6d} "
        f"{row['replica_hours']:15.1f} "
        f"{row['fixed_ratio']:15.2f}",
        flush=True,
    )
    return row


def _print_costs(costs: Costs, models: Sequence[StageModel]) -> None:
    print(f"{costs.hardware}; ms per chunk of one stream (a chunk is {CHUNK_S:g} s):")
    for model in models:
        targets = ", ".join(f"{t.per_replica:g} {t.signal}" for t in model.targets)
        print(f"  {model.name:10} {1e3 * model.work_s:7.2f}   a replica should carry {targets}")
    print(f"  a chunk in the log: {costs.log_bytes} bytes")


def _measure(options: argparse.Namespace) -> Costs:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settle_allocator()
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    hardware = measure_hardware(device, dtype)
    size = options.size
    plan = streams.plan_of(size, quick=True)
    bench = streams.Bench(models_of(size, device, dtype), device, plan)
    print(f"measuring the {size} model on {hardware.name} ...", flush=True)
    name = f"{hardware.name}, {size} model, {options.dtype}"
    return measure_costs(bench, name, dtype, ingest_s=8.0, periods=3)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    is_gpu = torch.cuda.is_available()
    parser.add_argument("--streams", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--peak", type=int, default=300, help="streams of the traces")
    parser.add_argument("--traces", nargs="*", default=list(TRACES), choices=TRACES)
    parser.add_argument("--costs", type=Path, default=None, help="measured before, by --save-costs")
    parser.add_argument("--save-costs", type=Path, default=None)
    parser.add_argument("--device", default="cuda" if is_gpu else "cpu")
    parser.add_argument("--dtype", default="bfloat16" if is_gpu else "float32")
    parser.add_argument("--size", default="7b" if is_gpu else "embedded", choices=SIZES)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
