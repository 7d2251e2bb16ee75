"""The live-context engine against re-prefilling, and against what the machine can do at best.

    python -m benchmarks.engine [--quick] [--model FOLDER] [--device cuda --dtype bfloat16]

Needs no service, no Redis, no Ray. The last line is one JSON object. Without `--model` the weights
are random, in the sizes of the embedded model.
"""

import argparse
import asyncio
import json
import logging
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from benchmarks.hardware import Hardware, measure_hardware
from benchmarks.live import CHUNK_TOKENS, CHUNKS_PER_MINUTE, Checkpoint, LiveBench
from compressor.omni.tiny import write_tiny_checkpoint
from service.llm.config import EngineConfig

MINUTE_TOKENS = CHUNKS_PER_MINUTE * CHUNK_TOKENS
CONTEXT_MINUTES = (1, 2, 5)
BATCHES = (1, 4, 16, 32)
OLD_MINUTES = 60
PAGE_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly to measure."""

    num_questions: int
    num_decoded: int
    num_references: int


QUICK = Effort(num_questions=20, num_decoded=24, num_references=2)
FULL = Effort(num_questions=200, num_decoded=128, num_references=5)


class Stock:
    """transformers' own way: `generate` on the embeddings of a whole context."""

    def __init__(self, checkpoint: Checkpoint, effort: Effort) -> None:
        thinker: Any = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
            checkpoint.folder, dtype=checkpoint.dtype, attn_implementation="sdpa"
        )
        self._thinker = thinker.to(checkpoint.device)
        self._effort = effort

    def generate_s(self, num_tokens: int, num_new: int) -> float:
        """Median time to prefill so many tokens and generate so many."""
        hidden_size = self._thinker.config.get_text_config().hidden_size
        like = self._thinker.lm_head.weight
        embeds = like.new_empty(1, num_tokens, hidden_size).normal_()
        mask = torch.ones(1, num_tokens, dtype=torch.long, device=like.device)
        times_s = []
        for _ in range(self._effort.num_references):
            began_s = time.perf_counter()
            with torch.inference_mode():
                self._thinker.generate(
                    inputs_embeds=embeds,
                    attention_mask=mask,
                    min_new_tokens=num_new,
                    max_new_tokens=num_new,
                    do_sample=False,
                ).cpu()
            times_s.append(time.perf_counter() - began_s)
        return statistics.median(times_s)

    def decode_tokens_per_s(self, num_tokens: int) -> float:
        """Tokens per second after the first, alone, behind a context of so many tokens."""
        num_new = self._effort.num_decoded
        return (num_new - 1) / (
            self.generate_s(num_tokens, num_new) - self.generate_s(num_tokens, 1)
        )


def main() -> None:
    """Run everything; `--quick` takes up to three minutes on two cores."""
    arguments = _parse()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(
            folder=arguments.model or write_tiny_checkpoint(Path(scratch) / "model"),
            device=torch.device(arguments.device),
            dtype=getattr(torch, arguments.dtype),
        )
        hardware = measure_hardware(checkpoint.device, checkpoint.dtype)
        print(f"{hardware.name}, {arguments.dtype}, torch {torch.__version__}")
        print(f"reads {hardware.bytes_per_s / 1e9:.1f} GB/s, {hardware.flops / 1e9:.0f} GFLOP/s")
        effort = QUICK if arguments.quick else FULL
        found = asyncio.run(_measure(checkpoint, hardware, effort))
    print(json.dumps({"hardware": hardware.name, "dtype": arguments.dtype} | found))


async def _measure(checkpoint: Checkpoint, hardware: Hardware, effort: Effort) -> dict[str, float]:
    stock = Stock(checkpoint, effort)
    long = _bench(checkpoint, context_minutes=CONTEXT_MINUTES[-1], num_sessions=1)
    found = await _by_context(long, stock, effort)
    await long.engine.aclose()
    short = _bench(checkpoint, context_minutes=1, num_sessions=max(BATCHES) + 2)
    found |= await _append_rate(short, hardware)
    found |= await _decode_rates(short, stock, hardware, effort)
    found |= await _by_age(short, effort)
    await short.engine.aclose()
    return {name: round(value, 4) for name, value in found.items()}


def _bench(checkpoint: Checkpoint, *, context_minutes: int, num_sessions: int) -> LiveBench:
    """An engine with room for some sessions, each with a budget that so many minutes fill."""
    context_tokens = context_minutes * MINUTE_TOKENS
    config = EngineConfig(
        num_pages=2 * (num_sessions + 2) * context_tokens // PAGE_TOKENS,
        page_tokens=PAGE_TOKENS,
        context_tokens=context_tokens,
        max_questions=2 * max(BATCHES),
    )
    return LiveBench(checkpoint, config)


async def _by_context(bench: LiveBench, stock: Stock, effort: Effort) -> dict[str, float]:
    """Time to first token by length of the context, and against prefilling all of it again."""
    print("\ncontext                    tokens   TTFT p50    p99   re-prefill   speedup")
    found: dict[str, float] = {}
    num_chunks = 0
    for minutes in CONTEXT_MINUTES:
        await bench.stream("growing", num_chunks, minutes * CHUNKS_PER_MINUTE)
        num_chunks = minutes * CHUNKS_PER_MINUTE
        times_s = (await bench.ttfts_s(["growing"], effort.num_questions))["growing"]
        p50_s, p99_s = statistics.median(times_s), _p99(times_s)
        num_tokens = num_chunks * CHUNK_TOKENS
        again_s = stock.generate_s(num_tokens, num_new=1)
        print(
            f"{minutes:3d} min of stream      {num_tokens:10d} {p50_s * 1e3:7.1f} ms "
            f"{p99_s * 1e3:7.1f} {again_s * 1e3:9.0f} ms {again_s / p50_s:8.1f} x"
        )
        found |= {
            f"ttft_p50_ms_{minutes}min": p50_s * 1e3,
            f"ttft_p99_ms_{minutes}min": p99_s * 1e3,
            "ttft_speedup_vs_reprefill": again_s / p50_s,
        }
    return found


async def _append_rate(bench: LiveBench, hardware: Hardware) -> dict[str, float]:
    """Tokens per second of many sessions that append at once."""
    began_s = time.perf_counter()
    names = [f"session {number}" for number in range(max(BATCHES))]
    await asyncio.gather(*(bench.stream(name, 0, CHUNKS_PER_MINUTE) for name in names))
    rate = len(names) * MINUTE_TOKENS / (time.perf_counter() - began_s)
    floor = hardware.flops / (2 * bench.layer_weights)
    print(
        f"\nappending: {rate:.0f} tokens/s, {rate / floor:.1%} of what the weights' products allow"
    )
    return {"append_tokens_per_s": rate, "append_mfu": rate / floor}


async def _decode_rates(
    bench: LiveBench, stock: Stock, hardware: Hardware, effort: Effort
) -> dict[str, float]:
    """Decode rate by batch, questions about one session and about as many sessions."""
    stock_rate = stock.decode_tokens_per_s(MINUTE_TOKENS)
    print(f"\ndecoding, 1 min of context (transformers, alone: {stock_rate:.0f} tokens/s)")
    print("batch       one session  of limit    as many sessions  of limit")
    found = {"decode_tokens_per_s_transformers": stock_rate}
    for batch in BATCHES:
        columns = ""
        for kind, num_contexts in (("one_session", 1), ("sessions", batch)):
            names = [f"session {number % num_contexts}" for number in range(batch)]
            rate = await bench.decode_tokens_per_s(names, effort.num_decoded)
            step_bytes = bench.weight_bytes + num_contexts * MINUTE_TOKENS * bench.kv_token_bytes
            limit = batch * hardware.bytes_per_s / step_bytes
            columns += f"{rate:16.0f}/s {rate / limit:8.1%}"
            found[f"decode_tokens_per_s_{kind}_{batch}"] = rate
        print(f"{batch:5d}{columns}")
    alone = found["decode_tokens_per_s_one_session_1"]
    found["decode_speedup_batch16"] = found["decode_tokens_per_s_one_session_16"] / alone
    found["decode_speedup_16_sessions"] = found["decode_tokens_per_s_sessions_16"] / alone
    return found


async def _by_age(bench: LiveBench, effort: Effort) -> dict[str, float]:
    """Time to first token and memory of a stream that has run for long, its budget long full."""
    await bench.stream("young", 0, CHUNKS_PER_MINUTE)
    memory: dict[int, tuple[int, int]] = {}
    num_chunks = 0
    for minutes in (1, 5, OLD_MINUTES):
        await bench.stream("old", num_chunks, minutes * CHUNKS_PER_MINUTE)
        num_chunks = minutes * CHUNKS_PER_MINUTE
        memory[minutes] = _resident_bytes(), bench.engine.stats().pages_used
    # in turns with a session that stopped when it was a minute old
    times_s = await bench.ttfts_s(["young", "old"], effort.num_questions)
    young_s, old_s = (statistics.median(times_s[name]) for name in ("young", "old"))
    (rss_5, pages_5), (rss_60, pages_60) = memory[5], memory[OLD_MINUTES]
    print("\nstream age    TTFT p50    pages    process")
    print(f"    1 min  {young_s * 1e3:8.1f} ms {memory[1][1]:8d} {memory[1][0] >> 20:7d} MiB")
    print(f"    5 min               {pages_5:8d} {rss_5 >> 20:7d} MiB")
    print(f"   60 min  {old_s * 1e3:8.1f} ms {pages_60:8d} {rss_60 >> 20:7d} MiB")
    return {
        "ttft_ratio_60min_vs_1min": old_s / young_s,
        "memory_ratio_60min_vs_5min": rss_60 / rss_5,
        "pages_ratio_60min_vs_5min": pages_60 / pages_5,
    }


def _p99(times_s: Sequence[float]) -> float:
    return sorted(times_s)[int(0.99 * (len(times_s) - 1))]


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Benchmark the live-context engine.")
    parser.add_argument("--quick", action="store_true", help="up to three minutes on two cores")
    parser.add_argument("--model", type=Path, help="checkpoint folder; default: random weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
