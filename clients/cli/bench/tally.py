"""What a bench counted, and its summary. Pure; knows nothing about how it was measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clients.cli.render import percent, seconds
from clients.cli.table import Table
from clients.sdk.models import Tokens

QUANTILES = {"p50": 0.5, "p95": 0.95, "max": 1.0}


@dataclass(slots=True)
class Tally:
    """One publisher's.

    Attributes:
        lags_s: Glass to context of every chunk, in seconds, as the service told.
        ttfts_s: From sending a question to the first piece of its answer, in seconds, as seen here.
        num_dropped: Chunks that lost their video, or all.
        num_failed: Questions that were not answered.
        num_late_frames: Pictures that this machine was too slow for.
        failure: Why it could not publish, or not to the end; None otherwise.
    """

    session_id: str | None = None
    lags_s: list[float] = field(default_factory=list)
    ttfts_s: list[float] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens.zero)
    num_dropped: int = 0
    num_failed: int = 0
    num_reconnects: int = 0
    num_late_frames: int = 0
    failure: str | None = None


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """By nearest rank: each is a value that was measured; None where nothing was."""
    ordered = sorted(values)
    if not ordered:
        return dict.fromkeys(QUANTILES)
    return {name: ordered[math.ceil(q * len(ordered)) - 1] for name, q in QUANTILES.items()}


def summary(tallies: Sequence[Tally], duration_s: float) -> dict[str, object]:
    """All publishers together, for a program."""
    tokens = sum((tally.tokens for tally in tallies), Tokens.zero())
    return {
        "publishers": len(tallies),
        "publishers_failed": sum(tally.failure is not None for tally in tallies),
        "duration_s": duration_s,
        "chunks": sum(len(tally.lags_s) for tally in tallies),
        "chunks_dropped": sum(tally.num_dropped for tally in tallies),
        "keep_ratio": tokens.keep_ratio,
        "lag_s": quantiles(_all(tally.lags_s for tally in tallies)),
        "questions": len(_all(tally.ttfts_s for tally in tallies)),
        "questions_failed": sum(tally.num_failed for tally in tallies),
        "ttft_s": quantiles(_all(tally.ttfts_s for tally in tallies)),
        "reconnects": sum(tally.num_reconnects for tally in tallies),
        "late_frames": sum(tally.num_late_frames for tally in tallies),
        "failures": sorted({tally.failure for tally in tallies if tally.failure is not None}),
    }


def table(tallies: Sequence[Tally]) -> Table:
    """A row for every publisher, and one for all where there are several."""
    rows = [_row(str(number), [tally]) for number, tally in enumerate(tallies, start=1)]
    if len(tallies) > 1:
        rows.append(_row("all", tallies))
    times = [f">{what} {name}" for what in ("lag", "TTFT") for name in QUANTILES]
    return Table(("publisher", ">chunks", ">dropped", ">kept", *times, ">failed"), rows)


def _row(name: str, tallies: Sequence[Tally]) -> list[str]:
    tokens = sum((tally.tokens for tally in tallies), Tokens.zero())
    return [
        name,
        str(sum(len(tally.lags_s) for tally in tallies)),
        str(sum(tally.num_dropped for tally in tallies)),
        percent(tokens.keep_ratio),
        *_told(quantiles(_all(tally.lags_s for tally in tallies))),
        *_told(quantiles(_all(tally.ttfts_s for tally in tallies))),
        str(sum(tally.num_failed for tally in tallies)),
    ]


def _told(found: Mapping[str, float | None]) -> list[str]:
    return [seconds(found[name]) for name in QUANTILES]


def _all(lists: Iterable[Sequence[float]]) -> list[float]:
    return [value for values in lists for value in values]


__all__ = ["Tally", "quantiles", "summary", "table"]
