import pytest
import torch

from compressor.evaluation.exam import ExamConfig, Paper, papers
from compressor.evaluation.examinee import load_layout
from compressor.evaluation.methods import Entry, build
from compressor.evaluation.quality import Result, compress, examine
from compressor.omni.checkpoint import load_config
from compressor.omni.checkpoint import selector_config as stored_selector_config
from compressor.tokens import TokenCounts
from compressor.training.scenes import Split
from compressor.training.selection import Budget, Rule, select
from compressor.training.student import Student, selector_config
from compressor.weights import EMBEDDED_MODEL


def sit(paper: Paper, method: str, student: Student, header: torch.Tensor) -> Result:
    sizes = stored_selector_config(load_config(EMBEDDED_MODEL))
    entry = Entry(method, 1.0 if method == "full" else 0.25)
    compressor = build(entry, student.selector, sizes, student.geometry.hidden_size)
    return examine(paper, compressor, student, header, 0)


def test_streaming_keeps_what_training_kept(student: Student, paper: Paper) -> None:
    config = selector_config(student.geometry)
    compressor = build(
        Entry("omnisift", 0.25), student.selector, config.selector, config.hidden_size
    )

    streamed = compress(paper, compressor)

    with torch.no_grad():
        trained, _ = select(paper.tokens, Budget(Rule.OMNISIFT, 0.23, 0.5), student.selector)
    assert torch.equal(streamed.index, trained.index)
    torch.testing.assert_close(streamed.embeddings, trained.embeddings)


def test_marks_are_of_the_questions_in_order(
    student: Student, paper: Paper, header: torch.Tensor
) -> None:
    result = sit(paper, "full", student, header)

    kinds = [question.kind for row in paper.asked for question in row]
    assert [mark.kind for mark in result.marks] == kinds
    assert result.counts_in == result.counts_kept == TokenCounts(2 * 4 * 128, 2 * 4 * 50)
    assert all(0 <= mark.age_s <= 8 for mark in result.marks)


def test_tokens_kept_are_counted_by_modality(
    student: Student, paper: Paper, header: torch.Tensor
) -> None:
    assert sit(paper, "omnisift", student, header).counts_kept == TokenCounts(8 * 30, 8 * 25)


@pytest.mark.parametrize(("method", "at_least"), [("full", 0.93), ("omnisift_live", 0.9)])
def test_the_shipped_model_is_as_good_as_its_card(
    method: str, at_least: float, student: Student, header: torch.Tensor
) -> None:
    config = ExamConfig(
        seed=11,
        num_clips=8,
        questions_per_clip=20,
        lengths_s={8: 0.75, 16: 0.25},
        split=Split.VALIDATION,
    )
    layout = load_layout(EMBEDDED_MODEL)

    marks = [
        mark
        for paper in papers(config, student, layout)
        for mark in sit(paper, method, student, header).marks
    ]

    assert sum(mark.is_right for mark in marks) >= at_least * len(marks)
