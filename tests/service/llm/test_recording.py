"""Metrics of an engine, from what it says of itself."""

from dataclasses import replace

from service.llm.config import EngineConfig
from service.llm.engine import EngineStats
from service.llm.policy import Progressive
from service.llm.recording import record
from service.metrics import Metrics
from service.sessions.record import SessionId
from tests.service.llm.desk import Desk
from tests.service.llm.thinker import build_chunk, build_scheduler

IDLE = EngineStats(
    running=0,
    waiting=0,
    pages_total=20,
    pages_free=20,
    room_tokens=0,
    context_tokens={},
    video_tokens=0,
    audio_tokens=0,
    context_s=0.0,
    forgotten_units={},
    forgotten_tokens={},
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


def test_metrics_follow_what_contexts_hold_and_lose() -> None:
    config = EngineConfig(num_pages=60, context_tokens=120, policy=Progressive(0.5))
    desk = Desk(build_scheduler(config))
    desk.open(SessionId("a"), *map(build_chunk, range(12)))
    metrics = Metrics()
    stats = desk.scheduler.stats()

    def count(name: str, **labels: str) -> float:
        return value(metrics, f"omnisift_context_{name}", **labels) or 0.0

    while desk.scheduler.has_work:
        before = stats
        desk.step()
        stats = desk.scheduler.stats()
        record(before, stats, metrics)

    came = [build_chunk(index).counts_kept for index in range(12)]
    for modality in ("video", "audio"):
        lost = sum(
            count("tokens_lost_total", change=change, cause="budget", modality=modality)
            for change in ("demoted", "dropped")
        )
        held = count("tokens", modality=modality)
        assert held > 0
        assert lost + held == sum(getattr(counts, modality) for counts in came)
    assert count("units_total", change="demoted", cause="budget") > 3
    num_held = len(desk.scheduler.held(SessionId("a")))
    assert count("units_total", change="dropped", cause="budget") == 12 - num_held
    assert count("seconds") == 2.0 * num_held
