"""What an engine holds and has done, as metrics. Knows nothing about the engine."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from service.llm.engine import EngineStats
from service.metrics import Metrics

K = TypeVar("K", bound=Hashable)


def record(before: EngineStats, after: EngineStats, metrics: Metrics) -> None:
    """Set the gauges to what is held now, and count the tokens done since the stats before."""
    metrics.kv_pages.labels(state="used").set(after.pages_used)
    metrics.kv_pages.labels(state="free").set(after.pages_free)
    metrics.engine_questions.labels(state="running").set(after.running)
    metrics.engine_questions.labels(state="waiting").set(after.waiting)
    kinds = {
        "decode": after.decode_tokens - before.decode_tokens,
        "chunk": after.chunk_tokens - before.chunk_tokens,
        "question": after.question_tokens - before.question_tokens,
    }
    for kind, num_tokens in kinds.items():
        metrics.engine_tokens_total.labels(kind=kind).inc(num_tokens)
    _record_memory(before, after, metrics)


def _record_memory(before: EngineStats, after: EngineStats, metrics: Metrics) -> None:
    metrics.context_tokens.labels(modality="video").set(after.video_tokens)
    metrics.context_tokens.labels(modality="audio").set(after.audio_tokens)
    metrics.context_seconds.set(after.context_s)
    for loss, number in _grown(before.forgotten_units, after.forgotten_units):
        metrics.context_units_total.labels(loss.change, loss.cause).inc(number)
    for (loss, modality), number in _grown(before.forgotten_tokens, after.forgotten_tokens):
        metrics.context_tokens_lost_total.labels(loss.change, loss.cause, modality).inc(number)


def _grown(before: Mapping[K, int], now: Mapping[K, int]) -> list[tuple[K, int]]:
    return [(key, now[key] - before.get(key, 0)) for key in now if now[key] != before.get(key, 0)]


__all__ = ["record"]
