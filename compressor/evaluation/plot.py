"""Accuracy against tokens kept, as a picture. Needs matplotlib, which nothing else here does."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from compressor.evaluation.marks import accuracy
from compressor.evaluation.methods import FULL
from compressor.evaluation.table import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw one line per method with 95 % intervals; the file's suffix chooses the format."""
    from matplotlib import colormaps  # an optional extra
    from matplotlib.figure import Figure

    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lines[row.entry.method].append(row)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=colormaps["tab20"](range(20)))  # the usual ten are too few
    for method, points in lines.items():
        points = sorted(points, key=lambda row: row.kept_ratio)
        found = [accuracy(row.every_mark) for row in points]
        below = [100 * (one.mean - one.low) for one in found]
        above = [100 * (one.high - one.mean) for one in found]
        axes.errorbar(
            [row.kept_ratio for row in points],
            [100 * one.mean for one in found],
            yerr=(below, above),
            marker="*" if method == FULL else "o",
            linewidth=2.5 if method.startswith("omnisift") else 1.0,
            capsize=2,
            label=method,
        )
    axes.set_xlabel("tokens kept / total")
    axes.set_ylabel("questions answered right, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path)


__all__ = ["draw"]
