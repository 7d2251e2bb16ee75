from typing import TypedDict

import pytest

from clients.cli import render
from clients.sdk.events import (
    ChunkEvent,
    DroppedEvent,
    Event,
    SourceEvent,
    StatusEvent,
    TurnEvent,
)
from clients.sdk.models import (
    Answer,
    FileAnswer,
    Gap,
    ModalityTokens,
    Session,
    Tokens,
    Turn,
    Usage,
)

TOKENS = Tokens(ModalityTokens(256, 58), ModalityTokens(50, 25))
TURN = Turn("q", "what ?", "red", 0, 0, "stop", None, 1)


class At(TypedDict):
    session_id: str
    at_s: float


AT: At = {"session_id": "s0", "at_s": 1065.0}


def line(event: Event) -> str:
    return render.event_line(event, start_at_s=1000.0)


@pytest.mark.parametrize(
    ("value_s", "text"), [(0, "00:00"), (65.9, "01:05"), (3600, "1:00:00"), (36_061, "10:01:01")]
)
def test_clock(value_s: float, text: str) -> None:
    assert render.clock(value_s) == text


def test_chunk_line_is_under_its_header() -> None:
    chunk = ChunkEvent(
        type="chunk",
        index=12,
        start_s=24,
        end_s=26,
        tokens=TOKENS,
        lag_s=1.31,
        gaps=(Gap("audio", 24.5, 0.5),),
        **AT,
    )

    text = line(chunk)

    assert text == (
        "   01:05  chunk 12       24.0-26.0 s     256 -> 58    50 -> 25   27 %   1.31 s"
        "  no audio for 0.50 s"
    )
    for name, end in (("stream", "24.0-26.0 s"), ("audio", "50 -> 25"), ("lag", "1.31 s")):
        header_end = render.WATCH_HEADER.index(name) + len(name)
        assert header_end == text.index(end) + len(end)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (StatusEvent(type="session.live", **AT), "live"),
        (StatusEvent(type="session.ended", reason="deleted", **AT), "ended (deleted)"),
        (DroppedEvent(type="dropped", reason="late", index=3, **AT), "chunk 3: late"),
        (DroppedEvent(type="dropped", reason="late", **AT), "a chunk: late"),
        (DroppedEvent(type="dropped", reason="oversized", **AT), "send 3840x2160 or less"),
        (Event(type="rule.fired", **AT), "rule.fired"),
        (
            SourceEvent(
                type="source.state",
                source_id="src_1",
                url="rtsp://camera/1",
                speed="realtime",
                state="reconnecting",
                reason="it was lost",
                since_s=1.0,
                **AT,
            ),
            "source     rtsp://camera/1 is reconnecting (it was lost)",
        ),
        (
            TurnEvent(type="turn", turn=TURN, **AT),
            "'what ?': 'red'",
        ),
    ],
)
def test_every_event_has_a_line(event: Event, text: str) -> None:
    assert line(event).startswith("   01:05  ")
    assert line(event).endswith(text)


def test_answer_summary_says_what_it_cost_and_saw() -> None:
    answer = Answer("q", "s", "?", "red", "stop", 4.0, 24.0, 0.123, 0.5, Usage(9, 3, 12, TOKENS))

    assert render.answer_summary(answer) == (
        "stop after 3 tokens; first in 0.12 s, all in 0.50 s; saw 4-24 s of stream, "
        "27 % of its 306 tokens kept"
    )


def test_summary_of_an_answer_about_files_says_what_it_cost() -> None:
    answer = FileAnswer("q", "red", "stop", Usage(9, 3, 12, TOKENS))

    assert render.file_answer_summary(answer) == (
        "stop after 3 tokens; 27 % of the files' 306 tokens kept"
    )


def test_session_is_a_row_and_a_card() -> None:
    session = Session(
        "s0",
        "ended",
        "live",
        0.0,
        TOKENS,
        0.27,
        end_reason="deleted",
        chunks=3,
        stream_s=6.0,
        metadata={"place": "roof"},
    )

    table = render.session_table([session])
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "session": "s0",
        "status": "ended",
        "profile": "live",
        ">stream": "00:06",
        ">kept": "27 %",
        ">lag": "-",
    }
    card = render.session_card(session).splitlines()
    assert card[1] == "status         ended (deleted)"
    assert card[3] == "stream         00:06 in 3 chunks"
    assert card[-1] == "metadata place roof"


def test_progress_fits_a_terminal_and_says_what_is_saved() -> None:
    hour = Tokens(ModalityTokens(460_800, 105_984), ModalityTokens(90_000, 45_000))

    assert render.progress_line("connecting", 0, Tokens.zero(), None) == "00:00  connecting"
    text = render.progress_line("live", 3600, hour, 1.3)
    assert text.startswith("1:00:00  live  video 460800 -> 105984")
    assert text.endswith("73 % saved  lag 1.30 s")
    assert len(text) <= 90


def test_sent_line_is_the_sum() -> None:
    assert render.sent_line(6.0, 3, TOKENS) == (
        "sent 6.0 s, 3 chunks in context: video 256 -> 58, audio 50 -> 25, 73 % of tokens saved"
    )
    assert render.sent_line(0.5, 0, Tokens.zero()).endswith("no tokens")
