"""Draws how a run went: loss, and accuracy on validation scenes. Needs matplotlib.

Knows nothing about training.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]


def draw(records: Sequence[Record], path: Path) -> None:
    """Plot the records of a run against its steps.

    Args:
        records: As `Trainer.train` reports them; those with neither loss nor accuracy are passed
            over.
        path: Image to write; its suffix says the format.
    """
    import matplotlib as mpl  # an optional extra
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    losses = [record for record in records if "loss" in record]
    axes.plot([r["step"] for r in losses], [r["loss"] for r in losses], label="loss, training")
    axes.set(xlabel="step", ylabel="loss, share right", ylim=(0, None))
    for before, after in pairwise(losses):
        if before["stage"] != after["stage"]:
            axes.axvline(before["step"], color="grey", linewidth=0.8, linestyle=":")
    for name, rows in _by_budget(records).items():
        axes.plot(*zip(*rows, strict=True), marker="o", label=f"right, validation, {name}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(path)


def _by_budget(records: Sequence[Record]) -> dict[str, list[tuple[int, float]]]:
    """Share of right answers by step, for each budget that was measured."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        if "accuracy" in record:
            video, audio = record["keep"]
            live = " live" if record["is_live"] else ""
            name = f"{record['rule']}{live} {video:g} / {audio:g}"
            rows.setdefault(name, []).append((record["step"], record["accuracy"]["ALL"]))
    return rows


__all__ = ["draw"]
