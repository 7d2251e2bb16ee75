import json
from dataclasses import replace

import pytest

from service.demo.report import Asked, ChunkSeen, Report

STAGES_S = {"encode": 0.02, "compress": 0.004, "prefill": 0.01}
CHUNK = ChunkSeen(lag_s=0.5, stages_s=STAGES_S, video=(128, 30), audio=(50, 25))
ASKED = Asked("query", "What shape was red?", "Square", "square", at_s=6.0, ttft_s=0.02)
REPORT = Report("s1", "paper-25", [CHUNK, replace(CHUNK, lag_s=0.7)], [ASKED] * 3)


def test_json_has_the_promised_keys() -> None:
    report = json.loads(json.dumps(REPORT.as_json()))

    assert list(report) == ["ok", "session_id", "chunks", "tokens", "lag_s", "ttft_s", "answers"]
    assert report["tokens"] == {
        "video": {"in": 256, "kept": 60},
        "audio": {"in": 100, "kept": 50},
    }
    assert report["lag_s"] == pytest.approx(0.6)
    assert report["answers"][0] == {
        "question": "What shape was red?",
        "answer": "Square",
        "expected": "square",
    }
    assert report["ok"] is True


@pytest.mark.parametrize(
    "broken",
    [
        replace(REPORT, chunks=[]),
        replace(REPORT, chunks=[replace(CHUNK, video=(128, 33))]),
        replace(REPORT, asked=[ASKED, ASKED]),
        replace(REPORT, asked=[ASKED, ASKED, replace(ASKED, answer="circle")]),
    ],
    ids=["no chunks", "too much video kept", "too few questions", "wrong answer"],
)
def test_not_ok(broken: Report) -> None:
    assert broken.as_json()["ok"] is False


def test_text_names_every_stage_and_verdict() -> None:
    text = replace(REPORT, asked=[ASKED, replace(ASKED, answer="circle")]).as_text()

    for word in ("encode", "compress", "prefill", "lag", "TTFT", "0.234", "right", "wrong"):
        assert word in text


def test_text_without_chunks_says_so_with_dashes() -> None:
    assert " - " in replace(REPORT, chunks=[], asked=[]).as_text()
