import pytest

from compressor.baselines.dtd import DtdOptions
from compressor.baselines.tome import TomeOptions
from compressor.config import CrossChunkConfig
from compressor.evaluation.exam import Paper
from compressor.evaluation.methods import LIVE, Entry, LiveOptions, build
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row
from compressor.evaluation.tuning import (
    GRIDS,
    TUNING_RATIOS,
    best,
    candidates,
    describe,
    tuning_table,
)
from compressor.tokens import TokenCounts
from compressor.training.questions import Kind
from compressor.training.student import Student, selector_config


def row(entry: Entry, right: int) -> Row:
    marks = [
        Mark((0, clip), Kind.LOOK, clip < right, 1.0, is_on_screen=None, is_unseen=False)
        for clip in range(10)
    ]
    return Row(entry, {0: marks}, TokenCounts(128, 50), TokenCounts(30, 25))


ROWS = [
    row(Entry("tome", 0.25, options=TomeOptions()), 9),
    row(Entry("tome", 0.15, options=TomeOptions()), 4),
    row(Entry("tome", 0.25, options=TomeOptions(0.5)), 7),
    row(Entry("tome", 0.15, options=TomeOptions(0.5)), 8),
    row(Entry(LIVE, 0.25, options=LiveOptions(CrossChunkConfig(), 0.3)), 9),
]


def test_each_choice_of_options_is_tried_at_each_ratio() -> None:
    found = candidates(["dtd"])

    assert len(set(found)) == len(found) == len(GRIDS["dtd"]) * len(TUNING_RATIOS)


@pytest.mark.parametrize("method", list(GRIDS))
def test_every_grid_holds_the_default_options(method: str) -> None:
    # the live profile takes quiet_score from the checkpoint by default
    assert "default" in {describe(options) for options in GRIDS[method]}


@pytest.mark.parametrize("entry", candidates(list(GRIDS)), ids=str)
def test_every_candidate_keeps_no_more_than_its_budget(
    entry: Entry, student: Student, paper: Paper
) -> None:
    config = selector_config(student.geometry)
    compressor = build(entry, student.selector, config.selector, config.hidden_size)

    compressed, _ = compressor.compress(paper.chunk(0, 0))

    budget = {0.25: TokenCounts(30, 25), 0.15: TokenCounts(18, 15)}[entry.keep_ratio]
    if entry.method == LIVE:
        assert 0 < compressed.counts_kept.total <= budget.total
    else:
        assert compressed.counts_kept == budget


def test_the_best_options_have_the_highest_mean_over_the_ratios() -> None:
    assert best(ROWS) == {"tome": TomeOptions(0.5)}


def test_options_are_named_by_what_differs_from_the_default() -> None:
    live = LiveOptions(CrossChunkConfig(anchor_ratio=0.5), 0.2)

    assert describe(DtdOptions()) == "default"
    assert describe(DtdOptions(is_pooled=True)) == "is_pooled=True"
    assert describe(live) == "anchor_ratio=0.5, quiet_score=0.2"
    assert describe(LiveOptions(CrossChunkConfig())) == "default"


def test_the_table_has_a_line_for_each_choice() -> None:
    lines = tuning_table(ROWS).splitlines()

    assert len(lines) == 2 + len(ROWS)
    assert "| tome | 0.15 | share_per_round=0.5 | 0.309 | 80.0 ±" in lines[5]
