from pathlib import Path

import pytest

from compressor.evaluation.comparison import Marked, mark_all
from compressor.evaluation.exam import ExamConfig, PaperPlan, plan_papers
from compressor.evaluation.methods import LIVE, LIVE_RATIO, Entry, entries

ROWS = entries(("full", LIVE, "random_trained", "tome"), (LIVE_RATIO,))


@pytest.fixture(scope="module")
def plans() -> list[PaperPlan]:
    config = ExamConfig(seed=1, num_clips=4, questions_per_clip=4, lengths_s={4: 0.5, 8: 0.5})
    return plan_papers(config)


@pytest.fixture(scope="module")
def marked(plans: list[PaperPlan], folder: Path) -> list[Marked]:
    return list(mark_all(plans, ROWS, folder, num_workers=1))


def test_every_row_answers_the_same_questions(marked: list[Marked]) -> None:
    for paper in marked:
        asked = {tuple((m.clip, m.kind, m.age_s) for m in one.marks) for one in paper.values()}
        assert set(paper) == set(ROWS)
        assert len(asked) == 1


def test_rows_at_the_tokens_of_live_keep_about_as_many(
    marked: list[Marked], plans: list[PaperPlan]
) -> None:
    for plan, paper in zip(plans, marked, strict=True):
        live = paper[Entry(LIVE, LIVE_RATIO)].counts_kept
        for entry in ROWS:
            if entry.is_at_live:
                off = abs(paper[entry].counts_kept.total - live.total)
                assert off <= plan.seconds / 2  # one token per chunk
                assert off < 0.05 * live.total


def test_workers_find_what_one_process_finds(
    plans: list[PaperPlan], marked: list[Marked], folder: Path
) -> None:
    assert list(mark_all(plans, ROWS, folder, num_workers=2)) == marked
