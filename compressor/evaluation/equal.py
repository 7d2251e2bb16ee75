"""The comparison at equal tokens: every method keeps as many as `omnisift_live` did. Pure text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.evaluation.marks import COLUMNS, Accuracy, accuracy, gap
from compressor.evaluation.methods import BASELINES, LIVE, LIVE_RATIO, TRAINED, Entry
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row, as_table, cell
from compressor.training.questions import VISION_KINDS

_COLUMNS = COLUMNS[:4]
_TITLE = """### At as many tokens as `omnisift_live`

Each method keeps as many video and audio tokens as `omnisift_live` at 0.25 kept of the same clips,
the same number of every chunk. "live ahead": paired difference in points, 95 % interval."""


@dataclass(frozen=True, slots=True)
class Lead:
    """How far `omnisift_live` is ahead of the best of some methods, on some questions.

    Attributes:
        method: The best of them.
        gap: Paired difference, live less that method.
    """

    method: str
    gap: Accuracy


def equal_json(rows: Sequence[Row]) -> dict[str, object]:
    """Accuracies at as many tokens as live; empty where live was not asked."""
    live, others = _divide(rows)
    if live is None or not others:
        return {}
    return {
        "live_keep_ratio": {
            "video": round(live.counts_kept.video / live.counts_in.video, 4),
            "audio": round(live.counts_kept.audio / live.counts_in.audio, 4),
            "total": round(live.kept_ratio, 4),
        },
        "at_live_tokens": {
            row.entry.method: round(accuracy(row.every_mark).mean, 4) for row in others
        },
        "kept_at_live_tokens": {row.entry.method: round(row.kept_ratio, 4) for row in others},
        "lead_at_live_tokens": {
            name: {
                "over": lead.method,
                "points": round(100 * lead.gap.mean, 2),
                "interval": [round(100 * lead.gap.low, 2), round(100 * lead.gap.high, 2)],
            }
            for name, lead in _leads(live, others).items()
        },
    }


def equal_markdown(rows: Sequence[Row]) -> str:
    """Write a table of the methods at as many tokens as live, and live's lead over the best."""
    live, others = _divide(rows)
    if live is None or not others:
        return ""
    head = ["method", "video kept", "audio kept", "kept", *(name for name, _ in _COLUMNS)]
    lines = [[*head, "live ahead, all", "live ahead, vision"], ["---"] * (len(head) + 2)]
    lines.append([*_cells(live), "", ""])
    for row in others:
        lines.append([*_cells(row), *(_signed(_lead(live, row, on)) for on in (_any, _is_vision))])
    return f"{_TITLE}\n\n{as_table(lines)}\n\n{_verdict(_leads(live, others))}\n"


def _divide(rows: Sequence[Row]) -> tuple[Row | None, list[Row]]:
    live = next((row for row in rows if row.entry == Entry(LIVE, LIVE_RATIO)), None)
    return live, [row for row in rows if row.entry.is_at_live]


def _cells(row: Row) -> list[str]:
    kept, total = row.counts_kept, row.counts_in
    ratios = (kept.video / total.video, kept.audio / total.audio, row.kept_ratio)
    marks = row.every_mark
    found = [accuracy([mark for mark in marks if holds(mark)]) for _, holds in _COLUMNS]
    return [row.entry.method, *(f"{ratio:.3f}" for ratio in ratios), *map(cell, found)]


def _leads(live: Row, others: Sequence[Row]) -> dict[str, Lead]:
    """Live's lead over the best baseline, and on vision over the best that needs no training."""
    baselines = [row for row in others if row.entry.method in BASELINES]
    free = [row for row in baselines if row.entry.method not in TRAINED]
    found: dict[str, Lead] = {}
    if baselines:
        found["all"] = _lead_over_best(live, baselines, _any)
    if free and any(map(_is_vision, live.every_mark)):
        found["vision, training-free"] = _lead_over_best(live, free, _is_vision)
    return found


def _lead_over_best(live: Row, rows: Sequence[Row], on: Callable[[Mark], bool]) -> Lead:
    best = max(rows, key=lambda row: accuracy(list(filter(on, row.every_mark))).mean)
    return Lead(best.entry.method, _lead(live, best, on))


def _lead(live: Row, other: Row, on: Callable[[Mark], bool]) -> Accuracy:
    return gap(list(filter(on, live.every_mark)), list(filter(on, other.every_mark)))


def _any(mark: Mark) -> bool:
    return True


def _is_vision(mark: Mark) -> bool:
    return mark.kind in VISION_KINDS


def _signed(found: Accuracy) -> str:
    if not found.number:
        return "-"
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _verdict(leads: dict[str, Lead]) -> str:
    parts = [f"{name}: {_signed(lead.gap)} over {lead.method}" for name, lead in leads.items()]
    return f"Lead of `omnisift_live` over the best baseline, points: {'; '.join(parts)}."


__all__ = ["Lead", "equal_json", "equal_markdown"]
