from pathlib import Path

import torch

from compressor.evaluation.exam import ExamConfig, Paper, papers
from compressor.evaluation.examinee import load_layout
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


def test_chunks_are_the_tokens_in_stream_time(paper: Paper) -> None:
    chunk = paper.chunk(1, 2)

    assert chunk.start_s == 4.0
    assert torch.equal(chunk.audio, paper.tokens.audio[1, 2])
    assert int(chunk.positions[0].min()) == 100
