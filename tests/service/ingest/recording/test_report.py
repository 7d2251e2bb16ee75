from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.ingest.recording.journal import Asked, Told
from service.ingest.recording.reader import Recording
from service.ingest.recording.report import ReplayBegun, ReplayedAnswer, ReplayedChunk, Report
from tests.service.ingest.recording.tapes import HEADER

DATA: dict[str, Any] = {
    "kept": {"video": [[0, 3]], "audio": [1]},
    "tokens": {"video": {"in": 4, "kept": 2}, "audio": {"in": 2, "kept": 1}},
    "grid_sizes": [[2, 2]],
    "gaps": [],
    "skew_s": 0.01,
    "is_cut": False,
    "lag_s": 0.5,
}
ASKED = Asked("what ?", "a bell", 2.0, "stop", 2)


def make_report(
    *chunks: ReplayedChunk, answer: str | None = "a bell", model: str = "stand-in"
) -> Report:
    recording = Recording(Path("a.mkv"), HEADER, [Told("chunk", DATA)], [ASKED], "stopped")
    begun = ReplayBegun.of(recording)
    return Report(begun, model, chunks, [ReplayedAnswer(ASKED, answer)])


def test_what_comes_out_as_it_was_is_the_same_but_for_times() -> None:
    report = make_report(ReplayedChunk.of(0, {**DATA, "lag_s": 0.0}, DATA))

    assert report.is_same
    assert report.as_text().endswith("same")
    [chunk] = report.as_json()["chunks"]
    assert (chunk["kept"], chunk["differences"]) == ({"video": 2, "audio": 1}, [])


@pytest.mark.parametrize(
    ("chunk", "differences"),
    [
        (ReplayedChunk.of(0, {**DATA, "kept": {"video": [[0, 2]], "audio": [1]}}, DATA), ["kept"]),
        (ReplayedChunk.of(0, None, DATA), ["missing"]),
        (ReplayedChunk.of(0, None, None, "ValueError"), ["failed"]),
    ],
)
def test_a_chunk_that_differs_is_named(chunk: ReplayedChunk, differences: list[str]) -> None:
    report = make_report(chunk)

    assert not report.is_same
    assert report.as_json()["chunks"][0]["differences"] == differences
    assert report.as_text().endswith("DIFFERENT")


def test_a_chunk_that_the_recording_does_not_tell_of_is_not_compared() -> None:
    report = make_report(ReplayedChunk.of(0, DATA, None))

    assert report.is_same
    assert report.as_json()["chunks"][0]["is_compared"] is False


@pytest.mark.parametrize("answer", ["a drum", None])
def test_another_answer_or_none_differs(answer: str | None) -> None:
    report = make_report(ReplayedChunk.of(0, DATA, DATA), answer=answer)

    assert not report.is_same
    assert report.as_json()["answers"][0]["replayed"] == answer
    assert "recorded 'a bell'" in report.as_text()


def test_what_was_kept_has_a_digest_that_follows_it() -> None:
    other = {**DATA, "kept": {"video": [[0]], "audio": [1]}}
    first, second = ReplayedChunk.of(0, DATA, None), ReplayedChunk.of(1, other, None)

    assert first.as_json()["kept_sha256"] != second.as_json()["kept_sha256"]


def test_another_model_is_told() -> None:
    assert "another model, big" in make_report(model="big").as_text()


def test_what_was_drawn_is_no_difference() -> None:
    report = make_report(ReplayedChunk.of(0, DATA, DATA))
    drawn = ReplayedAnswer(ASKED, None, "it was drawn", is_compared=False)
    report = replace(report, answers=[drawn])

    assert report.is_same
    assert report.as_json()["answers"][0]["is_same"] is None
    assert "it was drawn" in report.as_text()
    assert report.summary()["answers"] == {"compared": 0, "different": 0}


def test_a_summary_counts() -> None:
    lost = ReplayedChunk.of(1, None, DATA)
    failed = ReplayedChunk.of(2, None, None, "no room")

    summary = make_report(ReplayedChunk.of(0, DATA, DATA), lost, failed).summary()

    assert summary == {
        "is_same": False,
        "model": "stand-in",
        "chunks": {"replayed": 1, "compared": 2, "different": 2},
        "answers": {"compared": 1, "different": 0},
    }


def test_what_is_replayed_is_told_first() -> None:
    begun = make_report().begun.as_json()

    assert (begun["session_id"], begun["profile"]) == (HEADER.session_id, "full")
    assert (begun["num_chunks"], begun["num_answers"]) == (1, 1)
