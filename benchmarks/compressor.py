"""Time of the compressor per chunk: against a plain loop, its floor, and the prefill it saves.

    python -m benchmarks.compressor [--quick] [--device cuda] [--threads 2]

Needs neither a cluster nor weights: the time does not depend on the values of the embeddings. The
last line on stdout is one JSON object.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch

from benchmarks.contenders import Contenders, Row
from benchmarks.hardware import Hardware, measure_hardware
from benchmarks.prefill import Prefill, embedded_config, measure_prefill, seven_b_config
from benchmarks.timing import Repeats, settle_allocator
from benchmarks.workload import Workload, embedded, seven_b

BATCH = 64  # of the figures in the summary


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run covers.

    Attributes:
        batches: Batch sizes by workload.
        repeats: Of each row.
        min_chunks: In a round, so that small batches run as they do in a stream: one after another.
    """

    batches: dict[str, tuple[int, ...]]
    repeats: Repeats
    min_chunks: int

    @classmethod
    def of(cls, *, is_quick: bool) -> "Plan":
        if is_quick:
            batches = {"embedded": (1, 8, 64, 256), "7b": (1, 8, 64)}
            return cls(batches, Repeats(budget_s=4.0), min_chunks=16)
        every = tuple(2**power for power in range(9))
        return cls({"embedded": every, "7b": every}, Repeats(budget_s=10.0), min_chunks=32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print the tables, and the JSON object last."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    settle_allocator()
    hardware = measure_hardware(device, torch.float32)
    print(f"{hardware.name}, torch {torch.__version__}")
    plan, rows, differing = Plan.of(is_quick=options.quick), list[Row](), dict[str, int]()
    workloads = (embedded(), seven_b(dtype))
    for workload in workloads:
        contenders = Contenders.of(workload, max(plan.batches[workload.name]), device)
        differing[workload.name] = contenders.count_differing()
        _print_head(workload, differing[workload.name], len(contenders.chunks))
        rows += _rows(contenders.in_dtype(workload.dtype), plan)
        hardware = hardware.or_better(measure_hardware(device, torch.float32))
    floors_ms = {one.name: 1e3 * one.work.floor_s(hardware) for one in workloads}
    _print_floors(workloads, hardware)
    prefills = _prefills(device, dtype)
    shares = {name: _shares(rows, name, prefill) for name, prefill in prefills.items()}
    _print_shares(prefills, shares)
    headline = "7b" if device.type == "cuda" else "embedded"
    summary = _summary(rows, floors_ms, {name: one[BATCH] for name, one in shares.items()})
    summary |= {"share_of_prefill_saved": summary[f"share_of_prefill_saved_{headline}"]}
    summary |= {"chunks_differing": differing, "hardware": asdict(hardware)}
    print(json.dumps(summary | {"device": hardware.name, "torch": torch.__version__}))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compressor", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer batch sizes, within 3 minutes")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    return parser.parse_args(arguments)


def _rows(contenders: Contenders, plan: Plan) -> Iterator[Row]:
    for batch in plan.batches[contenders.workload.name]:
        row = contenders.measure(batch, plan.repeats, plan.min_chunks)
        _print_row(row)
        yield row


def _prefills(device: torch.device, dtype: torch.dtype) -> dict[str, Prefill]:
    """Time the prefill of the tokens that compression drops, at both widths."""
    small, large = embedded(), seven_b(dtype)
    is_gpu = device.type == "cuda"
    return {
        small.name: measure_prefill(
            embedded_config(),
            small.num_dropped,
            256 if is_gpu else 32,
            device=device,
            dtype=small.dtype,
        ),
        large.name: measure_prefill(
            seven_b_config(),
            large.num_dropped,
            20 if is_gpu else 1,
            device=device,
            dtype=large.dtype,
            num_layers=None if is_gpu else 1,
        ),
    }


def _shares(rows: Sequence[Row], name: str, prefill: Prefill) -> dict[int, float]:
    """Compressor time over prefill time saved, by batch size."""
    return {
        row.batch: row.compressor_ms / (1e3 * prefill.chunk_s)
        for row in rows
        if row.workload == name
    }


def _print_head(workload: Workload, num_differing: int, num_chunks: int) -> None:
    kept = workload.num_tokens - workload.num_dropped
    print(
        f"\n{workload.name}: D={workload.hidden_size}, {workload.side**2} tokens per grid, "
        f"{kept} of {workload.num_tokens} tokens kept, {workload.dtype}\n"
        f"kept sets equal the plain loop's in {num_chunks - num_differing} of {num_chunks} chunks\n"
        "batch  plain loop  compressor  unchecked  speedup   (ms per chunk)"
    )


def _print_row(row: Row) -> None:
    print(
        f"{row.batch:5d}  {row.loop_ms:10.3f}  {row.compressor_ms:10.3f}  "
        f"{row.unchecked_ms:9.3f}  {row.speedup:6.2f}x",
        flush=True,
    )


def _print_floors(workloads: Sequence[Workload], hardware: Hardware) -> None:
    print(
        f"\nmeasured: {hardware.flops / 1e12:.3f} TFLOP/s in a float32 matrix product, "
        f"{hardware.bytes_per_s / 1e9:.0f} GB/s read from memory"
    )
    for workload in workloads:
        work = workload.work
        print(
            f"{workload.name}: floor {1e3 * work.floor_s(hardware):.4f} ms per chunk, the larger "
            f"of {1e3 * work.flops / hardware.flops:.4f} ({work.flops / 1e6:.1f} MFLOP in the "
            f"selector) and {1e3 * work.num_bytes / hardware.bytes_per_s:.4f} "
            f"({work.num_bytes / 1e6:.2f} MB read and written)"
        )


def _print_shares(prefills: dict[str, Prefill], shares: dict[str, dict[int, float]]) -> None:
    for name, prefill in prefills.items():
        text = ", ".join(f"{share:.2%} at {batch}" for batch, share in shares[name].items())
        print(f"\n{name}: prefill of the dropped tokens takes {prefill}")
        print(f"compressor as a share of it, by batch: {text}")


def _summary(
    rows: Sequence[Row], floors_ms: dict[str, float], shares: dict[str, float]
) -> dict[str, object]:
    speedups = {row.workload: row.speedup for row in rows if row.batch == BATCH}
    return {
        "benchmark": "compressor",
        "speedup_batch64": speedups["embedded"],
        "speedup_batch64_7b": speedups["7b"],
        "speedup_min": min(row.speedup for row in rows),
        "share_of_prefill_saved_embedded": shares["embedded"],
        "share_of_prefill_saved_7b": shares["7b"],
        "floors_ms": floors_ms,
        "rows": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    main()
