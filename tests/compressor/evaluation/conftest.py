from pathlib import Path

import pytest
import torch

from compressor.evaluation.exam import ExamConfig, Paper, papers
from compressor.evaluation.examinee import load_examinee, load_layout
from compressor.training.student import Student
from compressor.weights import EMBEDDED_MODEL


@pytest.fixture(scope="session")
def folder() -> Path:
    return EMBEDDED_MODEL


@pytest.fixture(scope="session")
def student(folder: Path) -> Student:
    return load_examinee(folder)


@pytest.fixture(scope="session")
def header(folder: Path) -> torch.Tensor:
    return torch.tensor(load_layout(folder).header())


@pytest.fixture(scope="session")
def paper(folder: Path, student: Student) -> Paper:
    """Two clips of 8 s with 10 questions each."""
    config = ExamConfig(seed=3, num_clips=2, questions_per_clip=10, lengths_s={8: 1.0})
    return next(papers(config, student, load_layout(folder)))
