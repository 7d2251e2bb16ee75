import pickle
from pathlib import Path

import torch

from compressor.evaluation.exam import ExamConfig, Paper, draw_paper, papers, plan_papers
from compressor.evaluation.examinee import load_layout
from compressor.training.batches import IGNORED
from compressor.training.questions import Kind
from compressor.training.student import Student


def test_papers_are_reproducible(folder: Path, student: Student, paper: Paper) -> None:
    config = ExamConfig(seed=3, num_clips=2, questions_per_clip=10, lengths_s={8: 1.0})

    again = next(papers(config, student, load_layout(folder)))

    assert again.asked == paper.asked
    assert torch.equal(again.tokens.video, paper.tokens.video)
    assert torch.equal(again.tails, paper.tails)


def test_every_length_has_its_share(folder: Path, student: Student) -> None:
    config = ExamConfig(seed=0, num_clips=4, questions_per_clip=2, lengths_s={4: 0.75, 6: 0.25})

    found = list(papers(config, student, load_layout(folder)))

    assert [(paper.num_chunks, len(paper.tails)) for paper in found] == [(2, 3), (3, 1)]


def test_a_paper_does_not_depend_on_those_before_it(folder: Path, student: Student) -> None:
    config = ExamConfig(seed=0, num_clips=4, questions_per_clip=3, lengths_s={4: 0.75, 6: 0.25})
    layout = load_layout(folder)

    in_turn = list(papers(config, student, layout))[1]
    alone = draw_paper(plan_papers(config)[1], student, layout)

    assert alone.asked == in_turn.asked
    assert torch.equal(alone.tokens.video, in_turn.tokens.video)


def test_words_are_asked_about_where_they_are_spoken(folder: Path, student: Student) -> None:
    kinds = {}
    for share in (0.0, 1.0):
        config = ExamConfig(0, 2, 40, lengths_s={8: 1.0}, speech_share=share)
        (paper,) = papers(config, student, load_layout(folder))
        kinds[share] = {question.kind for row in paper.asked for question in row}

    assert kinds[1.0] - kinds[0.0] == {Kind.WORD, Kind.WORD_ORDER}


def test_plans_number_the_papers_and_share_no_scene() -> None:
    plans = [plan for seed in range(2) for plan in plan_papers(ExamConfig(seed, 36, 20))]

    seeds = [seed for plan in plans for seed in plan.seeds]
    assert len(set(seeds)) == len(seeds) == 2 * 36
    assert [plan.number for plan in plans] == [*range(15), *range(15)]
    assert max(plan.seconds for plan in plans) <= 64


def test_a_plan_can_be_sent_to_another_process() -> None:
    plans = plan_papers(ExamConfig(seed=0, num_clips=4, questions_per_clip=2))

    assert pickle.loads(pickle.dumps(plans)) == plans


def test_questions_end_where_the_answer_begins(paper: Paper) -> None:
    last = (paper.targets != IGNORED).int().argmax(dim=2)

    assert paper.tails.shape == paper.targets.shape
    assert int(last.max()) == paper.tails.shape[2] - 1


def test_chunks_are_the_tokens_in_stream_time(paper: Paper) -> None:
    chunk = paper.chunk(1, 2)

    assert chunk.start_s == 4.0
    assert torch.equal(chunk.audio, paper.tokens.audio[1, 2])
    assert int(chunk.positions[0].min()) == 100
