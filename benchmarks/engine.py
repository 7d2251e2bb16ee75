"""The live-context engine against re-prefilling, and against what the machine can do at best.

    python -m benchmarks.engine [--quick] [--model FOLDER] [--device cuda] [--size 7b]

Needs no service, no Redis, no Ray. The last line is one JSON object. On a CPU it runs the shipped
model, on a GPU random weights in the sizes of Qwen2.5-Omni-7B, with streams of 448 by 448 pixels.
With one thread on a CPU, times are the processor's for this process (see `timer_of`): on an idle
machine a clock on the wall shows the same.
"""

import argparse
import asyncio
import json
import logging
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import nn
from transformers import PreTrainedModel

from benchmarks.chunks import CHUNKS_PER_MINUTE, ChunkShape
from benchmarks.hardware import Hardware, measure_hardware, timer_of
from benchmarks.live import LiveBench
from benchmarks.models import SIZES, CheckpointModels, Models, models_of
from benchmarks.percentiles import percentile
from benchmarks.stock import Stock
from service.llm.config import AttentionName, EngineConfig
from service.llm.policy import Fifo

CONTEXT_MINUTES = (1, 2, 5)
AGES_MINUTES = (1, 5, 60)
BATCHES = (1, 4, 16, 32)
PAGE_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how thoroughly.

    Attributes:
        shape: Of the streams' chunks.
        step_tokens: Of a packed forward.
        num_questions: For each time to first token.
        num_decoded: Tokens of an answer whose rate is taken.
        num_references: Runs of transformers.
        stock_batches: Batches that transformers decodes.
        attention: The engine's attention body.
        cuda_graphs: Whether it captures decode steps.
    """

    shape: ChunkShape
    step_tokens: int
    num_questions: int
    num_decoded: int
    num_references: int
    stock_batches: Sequence[int]
    attention: AttentionName
    cuda_graphs: bool

    @property
    def minute_tokens(self) -> int:
        """Tokens that a minute of stream leaves in the context."""
        return CHUNKS_PER_MINUTE * self.shape.num_tokens


class Bench:
    """One model, in engines with budgets of different sizes.

    Attributes:
        hardware: What the machine did at best so far.
    """

    def __init__(self, models: Models, hardware: Hardware, plan: Plan) -> None:
        self._models = models
        self.hardware = hardware
        self._plan = plan
        self._text: tuple[PreTrainedModel, nn.Linear] = models.text_model()

    async def measure(self) -> dict[str, float]:
        """Measure everything; floors are of the better of two moments."""
        stock = Stock(self._models, self._plan.num_references)
        growing = self._engine(context_minutes=CONTEXT_MINUTES[-1], num_sessions=1)
        found = await self._by_context(growing, stock)
        await growing.engine.aclose()
        model = self._text[0]
        self.hardware = self.hardware.or_better(measure_hardware(model.device, model.dtype))
        del growing  # its pages too: a GPU needs the room
        bounded = self._engine(context_minutes=1, num_sessions=max(BATCHES) + len(AGES_MINUTES))
        found |= await self._append_rate(bounded)
        found |= await self._decode_rates(bounded, stock)
        found |= await self._by_age(bounded)
        await bounded.engine.aclose()
        return {name: round(value, 4) for name, value in found.items()}

    def _engine(self, *, context_minutes: int, num_sessions: int) -> LiveBench:
        """Make room for some sessions, each with a budget that so many minutes fill."""
        context_tokens = context_minutes * self._plan.minute_tokens
        config = EngineConfig(
            num_pages=3 * (num_sessions + 2) * context_tokens // (2 * PAGE_TOKENS),
            page_tokens=PAGE_TOKENS,
            step_tokens=self._plan.step_tokens,
            context_tokens=context_tokens,
            max_questions=2 * max(BATCHES),
            policy=Fifo(),  # so that a context is as long as its stream, up to the budget
            attention=self._plan.attention,
            cuda_graphs=self._plan.cuda_graphs,
        )
        return LiveBench(self._models, self._text, self._plan.shape, config)

    async def _by_context(self, bench: LiveBench, stock: Stock) -> dict[str, float]:
        """Time to first token by length of the context, and against prefilling all of it again."""
        print("\ncontext                    tokens   TTFT p50    p99   re-prefill   speedup")
        found: dict[str, float] = {}
        num_chunks = 0
        for minutes in CONTEXT_MINUTES:
            await bench.stream("growing", num_chunks, minutes * CHUNKS_PER_MINUTE)
            num_chunks = minutes * CHUNKS_PER_MINUTE
            times_s = await bench.ttfts_s(["growing"], self._plan.num_questions)
            p50_s, p99_s = (percentile(times_s["growing"], share) for share in (0.5, 0.99))
            again_s = stock.ttft_s(minutes * self._plan.minute_tokens)
            print(
                f"{minutes:3d} min of stream      {minutes * self._plan.minute_tokens:10d} "
                f"{p50_s * 1e3:7.1f} ms {p99_s * 1e3:7.1f} {again_s * 1e3:9.0f} ms "
                f"{again_s / p50_s:8.1f} x"
            )
            found |= {
                f"ttft_p50_ms_{minutes}min": p50_s * 1e3,
                f"ttft_p99_ms_{minutes}min": p99_s * 1e3,
                f"reprefill_ms_{minutes}min": again_s * 1e3,
                "ttft_speedup_vs_reprefill": again_s / p50_s,
            }
        return found

    async def _append_rate(self, bench: LiveBench) -> dict[str, float]:
        """Tokens per second of many sessions that append at once."""
        hardware, timer = self.hardware, timer_of(self._text[0].device)
        print(
            f"\nmeasured: {hardware.flops / 1e9:.0f} GFLOP/s in a matrix product, "
            f"{hardware.bytes_per_s / 1e9:.1f} GB/s read from memory"
        )
        began_s = timer()
        names = [f"session {number}" for number in range(max(BATCHES))]
        await asyncio.gather(*(bench.stream(name, 0, CHUNKS_PER_MINUTE) for name in names))
        rate = len(names) * self._plan.minute_tokens / (timer() - began_s)
        floor = hardware.flops / (2 * bench.layer_weights)
        print(
            f"appending: {rate:.0f} tokens/s, {rate / floor:.1%} of the {floor:.0f} that the "
            "weights' products allow"
        )
        return {"append_tokens_per_s": rate, "append_mfu": rate / floor}

    async def _decode_rates(self, bench: LiveBench, stock: Stock) -> dict[str, float]:
        """Decode rate by batch, about one session and about as many sessions, and the stock's."""
        print(
            "\ndecoding, tokens/s, 1 min of context; limit: weights and context read once a step"
            "\nbatch  one session  of limit  as many sessions  of limit  transformers"
        )
        found: dict[str, float] = {}
        for batch in BATCHES:
            columns = ""
            for kind, num_contexts in (("one_session", 1), ("sessions", batch)):
                names = [f"session {number % num_contexts}" for number in range(batch)]
                rate = await bench.decode_tokens_per_s(names, self._plan.num_decoded)
                of_limit = rate / self._decode_limit(bench, batch, num_contexts)
                columns += f"{rate:13.0f} {of_limit:9.1%}   "
                found[f"decode_tokens_per_s_{kind}_{batch}"] = rate
                found[f"decode_of_roofline_{kind}_{batch}"] = of_limit
            if batch in self._plan.stock_batches:
                tokens, num_new = self._plan.minute_tokens, self._plan.num_decoded
                rate = stock.decode_tokens_per_s(tokens, batch, num_new)
                columns += f"{rate:9.0f}"
                found[f"decode_tokens_per_s_transformers_{batch}"] = rate
            print(f"{batch:5d}{columns}", flush=True)
        alone = found["decode_tokens_per_s_one_session_1"]
        found["decode_speedup_batch16"] = found["decode_tokens_per_s_one_session_16"] / alone
        found["decode_speedup_16_sessions"] = found["decode_tokens_per_s_sessions_16"] / alone
        return found

    def _decode_limit(self, bench: LiveBench, batch: int, num_contexts: int) -> float:
        """Tokens per second if a step read each weight and each context's pages once."""
        context_bytes = num_contexts * self._plan.minute_tokens * bench.kv_token_bytes
        return batch * self.hardware.bytes_per_s / (bench.weight_bytes + context_bytes)

    async def _by_age(self, bench: LiveBench) -> dict[str, float]:
        """Time to first token and memory of streams that ran on after their budget was full."""
        memory: dict[int, tuple[int, int]] = {}
        for minutes in AGES_MINUTES:
            before = bench.engine.stats().pages_used
            await bench.stream(f"{minutes} min", 0, minutes * CHUNKS_PER_MINUTE)
            memory[minutes] = _resident_bytes(), bench.engine.stats().pages_used - before
        # in turns, so that all meet the same machine
        names = [f"{minutes} min" for minutes in AGES_MINUTES]
        times_s = await bench.ttfts_s(names, self._plan.num_questions)
        print("\nstream age    TTFT p50       p99    pages    process")
        found: dict[str, float] = {}
        for minutes, (resident, pages) in memory.items():
            p50_s, p99_s = (percentile(times_s[f"{minutes} min"], part) for part in (0.5, 0.99))
            print(
                f"{minutes:5d} min  {p50_s * 1e3:8.1f} ms {p99_s * 1e3:7.1f} {pages:8d} "
                f"{resident >> 20:7d} MiB"
            )
            found |= {
                f"ttft_p50_ms_aged_{minutes}min": p50_s * 1e3,
                f"ttft_p99_ms_aged_{minutes}min": p99_s * 1e3,
            }
        young, middle, old = AGES_MINUTES
        medians = {minutes: statistics.median(times_s[f"{minutes} min"]) for minutes in memory}
        return found | {
            f"ttft_ratio_{old}min_vs_{young}min": medians[old] / medians[young],
            f"memory_ratio_{old}min_vs_{middle}min": memory[old][0] / memory[middle][0],
            f"pages_ratio_{old}min_vs_{middle}min": memory[old][1] / memory[middle][1],
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything; `--quick` takes up to three minutes on two cores."""
    options = _parse(arguments)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    hardware = measure_hardware(device, dtype)
    print(f"{hardware.name}, {options.dtype}, torch {torch.__version__}")
    if options.model is None:
        models = models_of(options.size, device, dtype)
    else:
        models = CheckpointModels(options.model, device, dtype)
    bench = Bench(models, hardware, _plan(options))
    found = asyncio.run(bench.measure())
    print(f"\nthis process worked {time.process_time():.0f} s")
    names = ("size", "dtype", "attention", "eager")
    summary = {"benchmark": "engine"} | {name: getattr(options, name) for name in names} | found
    print(json.dumps(summary | {"hardware": asdict(bench.hardware), "torch": torch.__version__}))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _plan(options: argparse.Namespace) -> Plan:
    is_large = options.size == "7b"
    return Plan(
        shape=ChunkShape(16 if is_large else 8),
        step_tokens=4096 if is_large else 512,
        num_questions=20 if options.quick else 200,
        num_decoded=24 if options.quick else 128,
        num_references=2 if options.quick else 5,
        # of 7B, 32 contexts beside the engine's own would not fit into 80 GB
        stock_batches=(1, 16) if options.quick or is_large else BATCHES,
        attention=options.attention,
        cuda_graphs=not options.eager,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within three minutes on two cores")
    is_gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if is_gpu else "cpu")
    parser.add_argument("--dtype", default=None, choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--size", default=None, choices=SIZES, help="default: 7b on a GPU")
    parser.add_argument("--model", type=Path, help="checkpoint folder, in place of --size's model")
    parser.add_argument("--attention", default="auto", choices=get_args(AttentionName))
    parser.add_argument("--eager", action="store_true", help="without CUDA graphs")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    options = parser.parse_args(arguments)
    is_cpu = torch.device(options.device).type == "cpu"
    options.size = options.size or ("embedded" if is_cpu else "7b")
    options.dtype = options.dtype or ("float32" if is_cpu else "bfloat16")
    return options


if __name__ == "__main__":
    main()
