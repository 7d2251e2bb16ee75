"""The comparison as markdown and as one JSON object. Pure text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compressor.evaluation.marks import (
    AGE_COLUMNS,
    COLUMNS,
    KIND_COLUMNS,
    Accuracy,
    Filter,
    accuracy,
    gap,
)
from compressor.evaluation.methods import FULL, Entry
from compressor.evaluation.quality import Mark
from compressor.tokens import TokenCounts


@dataclass(frozen=True, slots=True)
class Row:
    """All that a method did.

    Attributes:
        entry: Which method at which ratio.
        marks: By seed.
        counts_in: Tokens before compression, all seeds.
        counts_kept: After it.
    """

    entry: Entry
    marks: Mapping[int, Sequence[Mark]]
    counts_in: TokenCounts
    counts_kept: TokenCounts

    @property
    def kept_ratio(self) -> float:
        return self.counts_kept.total / self.counts_in.total

    @property
    def every_mark(self) -> list[Mark]:
        return [mark for marks in self.marks.values() for mark in marks]

    @property
    def by_seed(self) -> list[float]:
        return [accuracy(marks).mean for marks in self.marks.values()]


def as_json(rows: Sequence[Row]) -> dict[str, object]:
    """Accuracies by method and keep ratio, with intervals, seeds and tokens kept."""
    found: dict[str, dict[str, dict[str, object]]] = {
        name: {} for name in ("accuracy", "interval", "by_seed", "kept")
    }
    for row in _by_ratio(rows):
        method, ratio = row.entry.method, str(row.entry.keep_ratio)
        overall = accuracy(row.every_mark)
        values = {
            "accuracy": round(overall.mean, 4),
            "interval": [round(overall.low, 4), round(overall.high, 4)],
            "by_seed": [round(value, 4) for value in row.by_seed],
            "kept": round(row.kept_ratio, 4),
        }
        for name, value in values.items():
            found[name].setdefault(method, {})[ratio] = value
    return {**found, "questions": len(rows[0].every_mark), "seeds": len(rows[0].marks)}


def markdown(rows: Sequence[Row]) -> str:
    """Tables: by what is needed, kind of question, age of the evidence; then the gaps."""
    by_ratio = _by_ratio(rows)
    parts = [
        ("What a question needs", COLUMNS),
        ("Kind of question", KIND_COLUMNS),
        ("Age of the evidence", AGE_COLUMNS),
    ]
    tables = [f"### {title}\n\n{_table(by_ratio, columns)}" for title, columns in parts]
    tables.append(f"### Against full tokens\n\n{_gaps(by_ratio)}")
    return "\n\n".join(tables) + "\n"


def _by_ratio(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not row.entry.is_at_live]


def _table(rows: Sequence[Row], columns: Sequence[tuple[str, Filter]]) -> str:
    # what nothing was asked about has no column
    columns = [column for column in columns if any(map(column[1], rows[0].every_mark))]
    head = ["method", "keep ratio", "kept", *(name for name, _ in columns)]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        marks = row.every_mark
        cells = [cell(accuracy([m for m in marks if holds(m)])) for _, holds in columns]
        entry = row.entry
        lines.append([entry.method, str(entry.keep_ratio), f"{row.kept_ratio:.3f}", *cells])
    numbers = [sum(map(holds, rows[0].every_mark)) for _, holds in columns]
    lines.append(["questions", "", "", *map(str, numbers)])
    return as_table(lines)


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Write lines of cells as a markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(found: Accuracy) -> str:
    """Write an accuracy in percent with half of its interval."""
    if not found.number:
        return "-"
    half = (found.high - found.low) / 2
    return f"{100 * found.mean:.1f} ± {100 * half:.1f}"


def _gaps(rows: Sequence[Row]) -> str:
    """Paired differences from full tokens, in points."""
    full = next((row for row in rows if row.entry.method == FULL), None)
    if full is None:
        return "Full tokens were not asked."
    lines = [["method", "keep ratio", "points from full", "95 % interval"], ["---"] * 4]
    for row in rows:
        if row is not full:
            found = gap(row.every_mark, full.every_mark)
            interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
            ratio = str(row.entry.keep_ratio)
            lines.append([row.entry.method, ratio, f"{100 * found.mean:+.1f}", interval])
    return as_table(lines)


__all__ = ["Row", "as_json", "as_table", "cell", "markdown"]
