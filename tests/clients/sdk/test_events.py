import json

import pytest

from clients.sdk.errors import MalformedAnswer
from clients.sdk.events import (
    ChunkEvent,
    DroppedEvent,
    Event,
    Kept,
    MomentEvent,
    RuleEvent,
    SourceEvent,
    StatusEvent,
    TurnEvent,
    parse_event,
)
from clients.sdk.stream import SseEvent
from tests.clients.fake_service import FakeService


def sse(type_: str, **data: object) -> SseEvent:
    common = {"type": type_, "session_id": "s0", "at_s": 12.5}
    return SseEvent(type_, json.dumps(common | data), "7")


@pytest.mark.parametrize("status", ["created", "connecting", "live", "idle", "ended"])
def test_session_event_tells_its_status(status: str) -> None:
    event = parse_event(sse(f"session.{status}", reason="why"))

    assert isinstance(event, StatusEvent)
    assert (event.status, event.reason, event.cursor, event.at_s) == (status, "why", "7", 12.5)


def test_chunk_event_is_read_whole() -> None:
    fake = FakeService()
    feed = fake.create()
    fake.add_chunk(feed)

    event = parse_event(SseEvent("chunk", json.dumps(feed.events[-1][1]), "3"))

    assert isinstance(event, ChunkEvent)
    assert event.tokens.keep_ratio == pytest.approx(49 / 146)
    assert event.kept.audio == tuple(range(0, 50, 2))
    assert [len(grid) for grid in event.kept.video] == [12, 12]
    assert event.grid_sizes == ((6, 8), (6, 8))
    assert event.stages_s == {"encode": 0.2, "compress": 0.01, "prefill": 0.1}
    assert event.data["index"] == 0


def test_dropped_and_turn_events_are_typed() -> None:
    turn = {
        "id": "q",
        "question": "?",
        "answer": "red",
        "asked_at_s": 1,
        "context_end_s": 4,
        "finish_reason": "stop",
        "ttft_s": None,
        "duration_s": 1,
    }

    dropped = parse_event(sse("dropped", reason="late", index=3))
    answered = parse_event(sse("turn", **turn))

    assert isinstance(dropped, DroppedEvent)
    assert dropped.reason == "late"
    assert isinstance(answered, TurnEvent)
    assert answered.turn.answer == "red"


def test_unknown_type_is_passed_on_with_its_fields() -> None:
    event = parse_event(sse("rule.fired", rule="r1", data="theirs"))

    assert type(event) is Event
    assert event.type == "rule.fired"
    assert event.data["rule"] == "r1"


def test_chunk_without_kept_tokens_is_read() -> None:
    tokens = {m: {"in": 1, "kept": 0} for m in ("video", "audio")}

    event = parse_event(sse("chunk", index=0, start_s=0, end_s=2, tokens=tokens))

    assert isinstance(event, ChunkEvent)
    assert event.kept == Kept()


@pytest.mark.parametrize("data", ["", "{", "[]", '"x"', '{"type": "chunk"}'])
def test_unreadable_event_is_refused(data: str) -> None:
    with pytest.raises(MalformedAnswer):
        parse_event(SseEvent("chunk", data, ""))


@pytest.mark.parametrize("type_", ["scene.cut", "sound.onset"])
def test_moments_are_typed(type_: str) -> None:
    data = f'{{"type": "{type_}", "session_id": "s", "at_s": 9.0, "index": 3, "start_s": 6.5}}'

    event = parse_event(SseEvent(type_, data, "7-0"))

    assert isinstance(event, MomentEvent)
    assert (event.index, event.start_s) == (3, 6.5)


def test_rule_event_tells_its_evidence() -> None:
    fields = {"rule_id": "r1", "condition": "?", "probability": 0.9, "start_s": 2.0, "end_s": 6.0}
    common = {"type": "rule.matched", "session_id": "s", "at_s": 9.0, "index": 2, "thumbnail": None}

    event = parse_event(SseEvent("rule.matched", json.dumps(fields | common), "7-0"))

    assert isinstance(event, RuleEvent)
    assert (event.rule_id, event.probability, event.thumbnail) == ("r1", 0.9, None)


def test_source_event_tells_how_it_stands() -> None:
    fields = {"source_id": "src_1", "url": None, "speed": "fast", "state": "failed", "reason": "?"}
    common = {"type": "source.state", "session_id": "s", "at_s": 9.0, "since_s": 8.5}

    event = parse_event(SseEvent("source.state", json.dumps(fields | common), "7-0"))

    assert isinstance(event, SourceEvent)
    assert (event.source_id, event.url, event.state, event.since_s) == (
        "src_1",
        None,
        "failed",
        8.5,
    )
