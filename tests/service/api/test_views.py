import torch

from compressor.tokens import CompressedChunk, TokenCounts
from service.api import views
from service.llm.engine import Finished
from service.media.chunk import Gap
from service.sessions.record import (
    ChunkRecord,
    Session,
    SessionConfig,
    SessionId,
    SessionStatus,
    Turn,
)

SESSION = Session(
    id=SessionId("s1"),
    config=SessionConfig("paper-25", metadata={"room": "lab"}),
    status=SessionStatus.LIVE,
    created_at_s=100.0,
    started_at_s=101.0,
    last_index=4,
    num_chunks=5,
    counts_in=TokenCounts(640, 250),
    counts_kept=TokenCounts(150, 125),
    lag_s=0.4,
)


def test_session_counts_and_links() -> None:
    wire = views.wire(views.session(SESSION))

    assert wire["tokens"]["video"] == {"in": 640, "kept": 150}
    assert wire["keep_ratio"] == 275 / 890
    assert wire["stream_s"] == 10.0
    assert wire["links"]["whip"] == "/v1/sessions/s1/whip"
    assert wire["metadata"] == {"room": "lab"}


def test_session_without_chunks_has_no_ratio() -> None:
    empty = Session(SessionId("s2"), SessionConfig("full"), SessionStatus.CREATED, 1.0)

    assert views.session(empty).keep_ratio is None
    assert views.session(empty).stream_s == 0.0


def test_answer_adds_up_its_usage() -> None:
    finished = Finished("red", "stop", 90, 2, 0.0, 10.0, 0.05, 0.07)

    wire = views.wire(views.answer("ans-1", SESSION, "which?", finished))

    assert wire["usage"]["total_tokens"] == 92
    assert wire["usage"]["stream"]["audio"] == {"in": 250, "kept": 125}
    assert (wire["answer"], wire["finish_reason"]) == ("red", "stop")


def test_turn_keeps_its_fields() -> None:
    turn = Turn("t1", "which?", "red", 5.0, 4.0, "stop", 0.1, 0.2, 90, 2)

    assert views.turn(turn).model_dump()["context_end_s"] == 4.0


def test_timeline_tells_gaps() -> None:
    chunk = CompressedChunk(
        embeddings=torch.zeros(0, 8),
        positions=torch.zeros(3, 0, dtype=torch.int64),
        modality=torch.zeros(0, dtype=torch.uint8),
        scores=torch.zeros(0),
        kept=torch.zeros(0, dtype=torch.int64),
        start_s=6.0,
        next_position=0,
        counts_in=TokenCounts(0, 50),
        counts_kept=TokenCounts(0, 25),
    )
    record = ChunkRecord(index=3, follows=2, compressed=chunk, gaps=(Gap("video", 6.0, 2.0),))

    (unit,) = views.wire(views.timeline("s1", [record], [], []))["chunks"]

    assert (unit["start_s"], unit["end_s"]) == (6.0, 8.0)
    assert unit["gaps"] == [{"modality": "video", "start_s": 6.0, "duration_s": 2.0}]
    assert (unit["held"], unit["cuts_s"], unit["has_thumbnail"]) == (None, [], False)
