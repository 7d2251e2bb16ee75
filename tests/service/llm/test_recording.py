"""Metrics of an engine, from what it says of itself."""

from dataclasses import replace

from service.llm.engine import EngineStats
from service.llm.recording import record
from service.metrics import Metrics

IDLE = EngineStats(
    running=0,
    waiting=0,
    pages_total=20,
    pages_free=20,
    room_tokens=0,
    context_tokens={},
    steps=0,
    decode_tokens=0,
    chunk_tokens=0,
    question_tokens=0,
)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_gauges_say_what_is_held_now() -> None:
    metrics = Metrics()
    busy = replace(IDLE, running=3, waiting=2, pages_free=13)

    record(IDLE, busy, metrics)

    questions = [
        value(metrics, "omnisift_engine_questions", state=state) for state in ("running", "waiting")
    ]
    assert questions == [3, 2]
    pages = [value(metrics, "omnisift_kv_pages", state=state) for state in ("used", "free")]
    assert pages == [7, 13]
    record(busy, IDLE, metrics)
    assert value(metrics, "omnisift_engine_questions", state="running") == 0


def test_tokens_are_counted_once_and_by_kind() -> None:
    metrics = Metrics()
    first = replace(IDLE, decode_tokens=1, chunk_tokens=20, question_tokens=300)
    second = replace(IDLE, decode_tokens=5, chunk_tokens=60, question_tokens=300)

    for before, after in ((IDLE, first), (first, second), (second, second)):
        record(before, after, metrics)

    counted = {
        kind: value(metrics, "omnisift_engine_tokens_total", kind=kind)
        for kind in ("decode", "chunk", "question")
    }
    assert counted == {"decode": 5, "chunk": 60, "question": 300}
