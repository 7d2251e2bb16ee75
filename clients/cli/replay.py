"""`omnisift replay`: a recording's session again, and whether it came out as it was."""

import argparse
import time
from typing import TYPE_CHECKING, Any

from clients.cli import exits
from clients.cli.console import Console
from clients.sdk import (
    Client,
    ReplayBegun,
    ReplayedAnswer,
    ReplayedChunk,
    ReplayItem,
    ReplayReport,
)
from clients.sdk.codec import encode

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser

NAMES: dict[type[ReplayItem], str] = {
    ReplayBegun: "session",
    ReplayedChunk: "chunk",
    ReplayedAnswer: "answer",
    ReplayReport: "report",
}


def add_replay(add: "AddParser") -> None:
    """The options of the command."""
    parser = add(
        "replay",
        help="replay a recording and say whether it comes out as it was",
        description="Send a file of `omnisift record`. The service cuts its chunks again as they "
        "were, in a session of its own, whose id is printed, and asks its questions again. Exits "
        f"with {exits.DIFFERS} where something differs.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--anyway", action="store_true", help="also if another version or model recorded it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run_replay(options: argparse.Namespace, console: Console) -> int:
    """Replay a file; returns the exit code."""
    board = Board(console)
    with Client(options.url, api_key=options.api_key) as client:
        if not options.json:
            console.note(f"sending {options.file}")
        items = client.replay(options.file, anyway=options.anyway)
        for item in items:
            if options.json:
                console.json({"type": NAMES[type(item)], **encode(item)})
            else:
                board.show(item, time.monotonic())
            if isinstance(item, ReplayReport):
                return exits.DONE if item.is_same else exits.DIFFERS
    raise AssertionError("a replay ended without its report")


class Board:
    """Tells a person how a replay goes: what differs, and how much there is to do."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = "?"
        self._num_chunks = 0

    def show(self, item: ReplayItem, now_s: float) -> None:
        match item:
            case ReplayBegun():
                self._begin(item)
            case ReplayedChunk():
                self._num_chunks += 1
                if item.differences:
                    reason = item.failure or ", ".join(item.differences)
                    self._console.note(f"chunk {item.index} differs: {reason}")
                text = f"replaying  {self._num_chunks} of {self._total} chunks"
                self._console.progress(text, state="replaying", now_s=now_s)
            case ReplayedAnswer():
                self._console.note(answer_line(item))
            case ReplayReport():
                self._console.note(report_line(item))

    def _begin(self, begun: ReplayBegun) -> None:
        recording = begun.recording
        self._total = str(recording.num_chunks)
        self._console.result(begun.session_id)
        self._console.note(
            f"session {recording.session_id} of version {recording.service}, model "
            f"{recording.model}, profile {recording.profile}"
        )
        if not recording.is_whole:
            self._console.note(
                "it was recorded from its middle on: kept tokens and answers may differ"
            )


def answer_line(item: ReplayedAnswer) -> str:
    """One line about an answer."""
    now: Any = item.reason if item.replayed is None else repr(item.replayed)
    then = f", recorded {item.recorded!r}" if item.is_same is False else ""
    return f"asked {item.question!r}: {now}{then}"


def report_line(report: ReplayReport) -> str:
    """The verdict."""
    chunks, answers = report.chunks, report.answers
    counts = f"{chunks.compared} chunks and {answers.compared} answers compared"
    if report.is_same:
        return f"same: {counts}"
    return f"DIFFERENT: {counts}; {chunks.different} and {answers.different} differ"


__all__ = ["add_replay", "run_replay"]
