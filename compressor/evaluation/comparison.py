"""Every method on the same papers, shared out to processes. Knows nothing about tables."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch

from compressor.evaluation.exam import Paper, PaperPlan, draw_paper
from compressor.evaluation.examinee import load_examinee, load_layout
from compressor.evaluation.methods import LIVE, LIVE_RATIO, Entry, as_many, build
from compressor.evaluation.quality import Result, examine
from compressor.omni.checkpoint import load_config, selector_config
from compressor.pipeline import Compressor
from compressor.training.student import Student
from compressor.weights import RANDOM_TRAINED_TEXT

Marked = dict[Entry, Result]


class Examiner:
    """A model under examination with its methods.

    Args:
        model: Its checkpoint folder.
        int8_weights: See `load_examinee`.
    """

    def __init__(self, model: Path, *, int8_weights: bool) -> None:
        self._student = load_examinee(model, int8_weights=int8_weights)
        self._random_student = load_examinee(model, RANDOM_TRAINED_TEXT, int8_weights=int8_weights)
        self._layout = load_layout(model)
        self._header = torch.tensor(self._layout.header())
        self._sizes = selector_config(load_config(model))

    def mark(self, plan: PaperPlan, rows: Sequence[Entry]) -> Marked:
        """Draw a paper and let every row answer it; `omnisift_live` before those measured by it."""
        paper = draw_paper(plan, self._student, self._layout)
        results: Marked = {}
        for row in sorted(rows, key=lambda row: row.is_at_live):
            ratios = _ratios(row, paper, results)
            number = 10_000 * plan.config.seed + plan.number
            compressor = self._build(row, plan.config.seed, ratios)
            results[row] = examine(paper, compressor, self._reader(row), self._header, number)
        return results

    def _build(self, row: Entry, seed: int, ratios: tuple[float, float] | None) -> Compressor:
        hidden_size = self._student.geometry.hidden_size
        return build(row, self._student.selector, self._sizes, hidden_size, seed, ratios)

    def _reader(self, row: Entry) -> Student:
        return self._random_student if row.has_random_weights else self._student


def mark_all(
    plans: Sequence[PaperPlan],
    rows: Sequence[Entry],
    model: Path,
    num_workers: int,
    *,
    int8_weights: bool = False,
) -> Iterator[Marked]:
    """Mark papers in worker processes of one thread each; results come in the order of the plans.

    One worker is this process itself.
    """
    if num_workers == 1:
        yield from (_mark(model, int8_weights, plan, rows) for plan in plans)
        return
    with ProcessPoolExecutor(
        num_workers, get_context("spawn"), torch.set_num_threads, (1,)
    ) as workers:
        waiting = [workers.submit(_mark, model, int8_weights, plan, rows) for plan in plans]
        for done in waiting:
            yield done.result()


@cache
def _examiner(model: Path, int8_weights: bool) -> Examiner:
    return Examiner(model, int8_weights=int8_weights)


def _mark(model: Path, int8_weights: bool, plan: PaperPlan, rows: Sequence[Entry]) -> Marked:
    return _examiner(model, int8_weights).mark(plan, rows)


def _ratios(row: Entry, paper: Paper, results: Marked) -> tuple[float, float] | None:
    if not row.is_at_live:
        return None
    live = results[Entry(LIVE, LIVE_RATIO)]
    return as_many(live.counts_kept, len(paper.tails) * paper.num_chunks)


__all__ = ["Examiner", "Marked", "mark_all"]
