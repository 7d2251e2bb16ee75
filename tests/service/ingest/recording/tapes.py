"""Recordings made line by line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from service.ingest.queue import Begin, Gone, Item
from service.ingest.recording.journal import EndReason, Header, Line
from service.ingest.recording.tape import Tape
from service.media.chunker import ChunkerConfig
from service.sessions.record import SessionConfig
from tests.service.ingest.items import make_picture, make_sound

HEADER = Header(
    service="0.1.0",
    model="stand-in",
    session_id="s",
    config=SessionConfig("full"),
    chunker=ChunkerConfig(min_pixels=28 * 28, max_pixels=4 * 28 * 28),
    recorded_at_s=100.0,
    started_at_s=100.0,
    after_index=-1,
    is_whole=True,
)

Look = tuple[Sequence[Item], float]


def make_looks(seconds: int = 4) -> list[Look]:
    """A publisher who begins, sends so much and leaves; one look per second."""
    looks: list[Look] = [([Begin(has_video=True, has_audio=True, at_s=100.0)], 100.0)]
    for second in range(100, 100 + seconds):
        items: list[Item] = []
        for tenth in range(10):
            at_s = second + tenth / 10
            items.append(make_sound(at_s, duration_s=0.1))
            if tenth % 5 == 0:
                items.append(make_picture(at_s, value=second))
        looks.append((items, second + 1.0))
    return [*looks, ([Gone()], 100.0 + seconds)]


def make_tape(
    looks: Sequence[Look],
    lines: Sequence[Line] = (),
    *,
    reason: EndReason = "stopped",
    **header: object,
) -> bytes:
    """A whole file."""
    tape = Tape(replace(HEADER, **header))  # type: ignore[arg-type]  # any field
    parts = [tape.begin(), *(tape.look(*look) for look in looks)]
    parts += [tape.add(line, 104.0) for line in lines]
    return b"".join([*parts, tape.end(reason, 104.0)])


def write_tape(path: Path, looks: Sequence[Look], lines: Sequence[Line] = ()) -> Path:
    path.write_bytes(make_tape(looks, lines))
    return path
