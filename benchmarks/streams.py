"""How many live streams one device sustains, by how much is kept of them, and where time goes.

    python -m benchmarks.streams [--quick] [--device cuda --dtype bfloat16] [--size 7b]

Encoder, compressor and engine are the service's own, in one process, one after another on a clock
that only their work moves: what is measured is the device's time, with no network, no Redis, no Ray
and no WebRTC in it. All streams remember the same number of seconds, whatever is kept of them. The
last line is one JSON object.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from benchmarks.arrivals import QUESTION_PERIOD_S
from benchmarks.chunks import ChunkShape, make_media
from benchmarks.engines import (
    build_scheduler,
    free_bytes,
    kv_token_bytes,
    layer_weights,
)
from benchmarks.hardware import Hardware, measure_hardware
from benchmarks.live_device import STAGES, LiveDevice, Pipeline
from benchmarks.load import Load
from benchmarks.models import SIZES, Models, models_of
from benchmarks.percentiles import percentile
from benchmarks.search import largest
from benchmarks.timing import settle_allocator
from compressor.evaluation.methods import RATIOS, Entry, build
from compressor.omni.checkpoint import selector_config
from service.encoder.encoder import OmniEncoder
from service.llm.config import EngineConfig
from service.llm.policy import Fifo
from service.media.chunk import CHUNK_S

METHODS = {
    "full": Entry("full", 1.0),
    "0.35": Entry("omnisift", 0.35),
    "0.25": Entry("omnisift", 0.25),
    "omnizip": Entry("omnizip", 0.25),
    "dycoke": Entry("dycoke", 0.25),
}
PAGE_TOKENS = 16
SPARE_PAGES = 6  # of a session: header, half-full pages, the chunk on its way
FREE_RATIO = 0.85  # of the memory left on a GPU that pages may take
TOLERANCE = 0.04  # of the number of streams


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure, and how the device is driven.

    Attributes:
        side: Tokens per row of a grid.
        context_s: Seconds of stream that each session remembers.
        num_periods: Chunks that each stream sends in a run.
        max_batch_chunks: Encoded at once.
        max_wait_s: How long a chunk waits for others to be encoded with.
        step_tokens: Of a packed forward.
        answer_tokens: Of an answer.
        max_streams: Not exceeded.
    """

    side: int
    context_s: float
    num_periods: int
    max_batch_chunks: int
    max_wait_s: float
    step_tokens: int
    answer_tokens: int
    max_streams: int


class Bench:
    """The parts that all methods share."""

    def __init__(self, models: Models, device: torch.device, plan: Plan) -> None:
        self._models = models
        self._device = device
        self._plan = plan
        self._encoder: OmniEncoder = models.encoder()
        self._selector = models.selector()
        self._text: tuple[PreTrainedModel, nn.Linear] = models.text_model()

    def pipeline(self, entry: Entry) -> tuple[Pipeline, int]:
        """Build the stages of a method, and say for how many streams there is room."""
        plan, thinker = self._plan, self._models.thinker
        ratios = (1.0, 1.0) if entry.keep_ratio == 1 else RATIOS[entry.keep_ratio]
        shape = ChunkShape(plan.side, *ratios)
        context_chunks = int(plan.context_s / CHUNK_S)
        num_streams = self._num_streams(context_chunks * shape.num_tokens)
        config = EngineConfig(
            num_pages=num_streams * self._pages(context_chunks * shape.num_tokens),
            page_tokens=PAGE_TOKENS,
            step_tokens=plan.step_tokens,
            context_tokens=context_chunks * shape.num_tokens,
            max_questions=plan.step_tokens // 2,
            policy=Fifo(),  # so that the context is as long as the plan says
        )
        hidden_size = int(thinker.get_text_config().hidden_size)
        compressor = build(entry, self._selector, selector_config(thinker), hidden_size)
        pipeline = Pipeline(
            self._encoder,
            compressor,
            build_scheduler(self._models, self._text, config),
            shape,
            self._device,
            max_batch_chunks=plan.max_batch_chunks,
            max_wait_s=plan.max_wait_s,
            context_chunks=context_chunks,
            answer_tokens=plan.answer_tokens,
        )
        return pipeline, num_streams

    def chunk_flops(self, pipeline: Pipeline) -> float:
        """Count the products of one chunk, and of its stream's questions in the same time."""
        media = make_media(pipeline.shape, seed=0)
        with FlopCounterMode(display=False) as counter:
            pipeline.compress(pipeline.encode([media]), [None])
        answer_tokens = self._plan.answer_tokens * CHUNK_S / QUESTION_PERIOD_S
        num_tokens = pipeline.shape.num_tokens + answer_tokens
        return float(counter.get_total_flops() + 2 * layer_weights(self._text[0]) * num_tokens)

    def _pages(self, context_tokens: int) -> int:
        """Pages of the pool for one session, with its share of what questions take."""
        return 5 * (context_tokens // PAGE_TOKENS + SPARE_PAGES) // 4

    def _num_streams(self, context_tokens: int) -> int:
        if self._device.type == "cpu":
            return self._plan.max_streams
        page_bytes = PAGE_TOKENS * kv_token_bytes(self._text[0])
        room_pages = int(FREE_RATIO * free_bytes(self._device)) // page_bytes
        if room_pages < self._pages(context_tokens):
            raise MemoryError(f"no memory for one context of {context_tokens} tokens")
        return min(self._plan.max_streams, room_pages // self._pages(context_tokens))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found about one method.

    Attributes:
        num_streams: The largest number sustained.
        room: Streams tried at most: those for which a GPU has memory, or `--max-streams`.
        chunk_flops: Operations in the products of one chunk.
        load: The run of that many streams.
    """

    num_streams: int
    room: int
    chunk_flops: float
    load: Load

    @property
    def chunk_ms(self) -> dict[str, float]:
        """Time of each stage per chunk."""
        num_chunks = len(self.load.lags_s)
        return {stage: 1e3 * busy_s / num_chunks for stage, busy_s in self.load.busy_s.items()}

    def limit_by_flops(self, hardware: Hardware) -> float:
        """Streams that the device could serve if it did nothing but these products."""
        return CHUNK_S * hardware.flops / self.chunk_flops


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print the tables, and the JSON object last; `--quick` takes up to three minutes."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    settle_allocator()
    hardware = measure_hardware(device, dtype)
    plan = _plan(options)
    print(f"{hardware.name}, {options.dtype}, torch {torch.__version__}")
    print(f"{options.size} model, {plan}\n")
    bench = Bench(models_of(options.size, device, dtype), device, plan)
    print(_HEAD)
    found: dict[str, Found] = {}
    for name in options.methods:
        found[name] = _measure(bench, METHODS[name], plan)
        _print_row(name, found[name])
        hardware = hardware.or_better(measure_hardware(device, dtype))
    _print_limits(found, hardware)
    summary = _summary(found, hardware) | {"size": options.size, "dtype": options.dtype}
    summary |= {"plan": asdict(plan), "hardware": asdict(hardware), "torch": torch.__version__}
    print(json.dumps(summary))


def _measure(bench: Bench, entry: Entry, plan: Plan) -> Found:
    """Find the largest number of streams that a method sustains."""
    pipeline, room = bench.pipeline(entry)
    device = LiveDevice(pipeline)
    chunk_flops = bench.chunk_flops(pipeline)
    device.run(min(2, room), 1)  # the first run of each shape is slow
    # what a few streams cost says where to begin
    loads = {0: device.run(min(12, room), plan.num_periods)}

    def is_sustained(num_streams: int) -> bool:
        loads[num_streams] = device.run(num_streams, plan.num_periods)
        return loads[num_streams].is_sustained

    start = min(max(int(loads[0].num_streams / loads[0].busy_ratio), 1), room)
    count = largest(is_sustained, start=start, limit=room, growth=1.25, tolerance=TOLERANCE)
    return Found(count, room, chunk_flops, loads[count])


_HEAD = (
    "method    streams   lag p99   busy  TTFT p50   "
    + "  ".join(f"{stage:>9}" for stage in STAGES)
    + "   (ms per chunk)"
)


def _print_row(name: str, found: Found) -> None:
    load = found.load
    stages = "  ".join(f"{spent_ms:9.2f}" for spent_ms in found.chunk_ms.values())
    print(
        f"{name:8} {found.num_streams:8d} {load.lag_p99_s:7.2f} s {load.busy_ratio:6.1%} "
        f"{1e3 * percentile(load.ttfts_s, 0.5):6.0f} ms  {stages}",
        flush=True,
    )


def _print_limits(found: dict[str, Found], hardware: Hardware) -> None:
    print(
        f"\nmeasured: {hardware.flops / 1e9:.0f} GFLOP/s in a matrix product, "
        f"{hardware.bytes_per_s / 1e9:.1f} GB/s read from memory"
    )
    for name, one in found.items():
        print(
            f"{name}: {one.chunk_flops / 1e9:.2f} GFLOP per chunk and its share of questions "
            f"(attention to the cache not counted), at most {one.limit_by_flops(hardware):.0f} "
            f"streams; room for {one.room}"
        )


def _summary(found: dict[str, Found], hardware: Hardware) -> dict[str, object]:
    summary: dict[str, object] = {"benchmark": "streams"}
    for name, one in found.items():
        summary |= {
            f"streams_{name}": one.num_streams,
            f"streams_{name}_limit_by_flops": round(one.limit_by_flops(hardware), 1),
            f"streams_{name}_room": one.room,
            f"lag_p99_s_{name}": round(one.load.lag_p99_s, 3),
            f"ttft_p50_s_{name}": round(percentile(one.load.ttfts_s, 0.5), 4),
            f"shares_{name}": {key: round(part, 4) for key, part in one.load.shares.items()},
            f"chunk_ms_{name}": {key: round(part, 3) for key, part in one.chunk_ms.items()},
        }
    if "full" in found and found["full"].num_streams:
        summary |= {
            f"streams_gain_{name}_vs_full": round(one.num_streams / found["full"].num_streams, 3)
            for name, one in found.items()
            if name != "full"
        }
    return summary


def plan_of(size: str, *, quick: bool, side_px: int | None = None) -> Plan:
    """How the device is driven with a model of a size."""
    is_large = size == "7b"
    return Plan(
        side=(side_px or (448 if is_large else 224)) // 28,
        context_s=20.0 if quick else 60.0,
        num_periods=2 if quick else 10,
        max_batch_chunks=32 if is_large else 8,
        max_wait_s=0.25,
        step_tokens=4096 if is_large else 512,
        answer_tokens=32,
        max_streams=256,
    )


def _plan(options: argparse.Namespace) -> Plan:
    plan = plan_of(options.size, quick=options.quick, side_px=options.side_px)
    return replace(
        plan,
        context_s=options.context_s or plan.context_s,
        max_wait_s=options.max_wait_s,
        answer_tokens=options.answer_tokens,
        max_streams=options.max_streams,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    is_gpu = torch.cuda.is_available()
    parser.add_argument("--quick", action="store_true", help="within three minutes on two cores")
    parser.add_argument("--device", default="cuda" if is_gpu else "cpu")
    parser.add_argument("--dtype", default=None, choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--size", default=None, choices=SIZES, help="default: 7b on a GPU")
    parser.add_argument("--side-px", type=int, default=None, help="of the square pictures")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--context-s", type=float, default=None, help="remembered by a session")
    parser.add_argument("--max-wait-s", type=float, default=0.25, help="of a chunk for a batch")
    parser.add_argument("--answer-tokens", type=int, default=32)
    parser.add_argument("--max-streams", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    options = parser.parse_args(arguments)
    is_cpu = torch.device(options.device).type == "cpu"
    options.size = options.size or ("embedded" if is_cpu else "7b")
    options.dtype = options.dtype or ("float32" if is_cpu else "bfloat16")
    options.max_streams = options.max_streams or (256 if is_cpu else 1024)
    return options


if __name__ == "__main__":
    main()
