"""What an engine holds and has done, as metrics. Knows nothing about the engine."""

from service.llm.engine import EngineStats
from service.metrics import Metrics


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


__all__ = ["record"]
