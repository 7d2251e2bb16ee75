"""What a chunk costs each stage: measured here, or read from an earlier measurement."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks import ingest, streams
from benchmarks.chunks import make_compressed
from benchmarks.fleet.stage import StageModel
from benchmarks.live_device import LiveDevice, Pipeline
from service.deployments.targets import full_contexts, scaling_targets
from service.media.chunk import CHUNK_S
from service.sessions.codec import encode_record
from service.sessions.record import ChunkRecord
from service.settings import Settings

NUM_STREAMS = 12  # measured together, so that work is done in batches as under load


@dataclass(frozen=True, slots=True)
class Costs:
    """A replica's time per chunk of one live stream, seconds; bytes of a logged chunk.

    Attributes:
        ingest_s: WebRTC, decoding, spectrum; on a core.
        encode_s: Both towers.
        compress_s: The compressor.
        llm_s: Prefill, and the stream's share of two questions a minute with 32 tokens each.
        log_bytes: Of a chunk in the log.
        hardware: Where it was measured.
    """

    ingest_s: float
    encode_s: float
    compress_s: float
    llm_s: float
    log_bytes: int
    hardware: str

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def load_costs(path: Path) -> Costs:
    """Read what `Costs.save` wrote.

    Raises:
        ValueError: The file is not that.
    """
    try:
        return Costs(**json.loads(path.read_text()))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no measured costs: {error}") from error


def measure_costs(
    bench: streams.Bench, hardware: str, dtype: torch.dtype, *, ingest_s: float, periods: int
) -> Costs:
    """Measure the stages on this machine; some twenty seconds.

    Args:
        bench: The models.
        hardware: The machine's name.
        dtype: Of logged tokens.
        ingest_s: How long WebRTC streams are taken in.
        periods: Chunks of each stream through the other stages.
    """
    pipeline, room = bench.pipeline(streams.METHODS["0.25"])
    device = LiveDevice(pipeline)
    num_streams = min(NUM_STREAMS, room)
    device.run(num_streams, 1)  # the first run of each shape is slow
    load = device.run(num_streams, periods)
    chunk_s = {stage: busy_s / len(load.lags_s) for stage, busy_s in load.busy_s.items()}
    core_ratio, _ = ingest.measure(2, ingest_s)
    return Costs(
        ingest_s=CHUNK_S * core_ratio,
        encode_s=chunk_s["encode"],
        compress_s=chunk_s["compress"],
        llm_s=chunk_s["append"] + chunk_s["questions"],
        log_bytes=_log_bytes(pipeline, dtype),
        hardware=hardware,
    )


def _log_bytes(pipeline: Pipeline, dtype: torch.dtype) -> int:
    shape, hidden_size = pipeline.shape, pipeline.scheduler.hidden_size
    embeddings = torch.zeros(shape.num_tokens, hidden_size, dtype=dtype)
    return len(encode_record(ChunkRecord(0, -1, make_compressed(shape, 0, embeddings))))


def stage_models(costs: Costs, settings: Settings) -> list[StageModel]:
    """The stages in order, with the service's own targets and limits."""
    targets = scaling_targets(settings)
    startup_s = settings.scaling.startup_s
    max_llm = int(full_contexts(settings.llm) / settings.llm.reserve_ratio)
    return [
        StageModel(
            "Ingest",
            costs.ingest_s,
            settings.ingest.max_sessions,
            is_affine=True,
            targets=targets["Ingest"],
            startup_s=startup_s,
            drain_s=settings.ingest.drain_s,
        ),
        StageModel(
            "Encoder",
            costs.encode_s,
            None,
            is_affine=False,
            targets=targets["Encoder"],
            startup_s=startup_s,
        ),
        StageModel(
            "Compressor",
            costs.compress_s,
            None,
            is_affine=True,
            targets=targets["Compressor"],
            startup_s=startup_s,
        ),
        StageModel(
            "LLM",
            costs.llm_s,
            max_llm,
            is_affine=True,
            targets=targets["LLM"],
            startup_s=startup_s,
        ),
    ]


__all__ = ["Costs", "load_costs", "measure_costs", "stage_models"]
