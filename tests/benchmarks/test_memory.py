"""The measurement of memory policies on one clip."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.memory import (
    CLIP_S,
    EVERYTHING,
    POLICIES,
    Clip,
    Effort,
    age_columns,
    examine,
    need_columns,
    record_clips,
)
from compressor.evaluation.marks import Filter
from compressor.evaluation.quality import Mark
from compressor.training.questions import Kind
from compressor.weights import EMBEDDED_MODEL


@pytest.fixture(scope="module")
def clip() -> Iterator[Clip]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    [clip] = record_clips(EMBEDDED_MODEL, Effort(num_clips=1, num_questions=6))
    yield clip
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", POLICIES)
async def test_every_policy_answers_from_what_it_holds(name: str, clip: Clip) -> None:
    score = await examine(EMBEDDED_MODEL, name, POLICIES[name], 660, [clip])

    assert len(score.marks) == len(clip.asked) == 6
    total = sum(len(chunk.embeddings) for chunk in clip.chunks)
    assert score.tokens_held == total if name == EVERYTHING else score.tokens_held <= 660 < total
    assert (score.seconds_held == CLIP_S) == (name == EVERYTHING)


def test_counting_has_no_age() -> None:
    marks = {
        kind: Mark((0, 0), kind, True, 5.0, is_on_screen=None, is_unseen=False)
        for kind in (Kind.COUNT, Kind.LOOK)
    }

    found = {
        name: [kind for kind in marks if inside(marks[kind])] for name, inside in all_columns()
    }

    assert found["0-10 s"] == [Kind.LOOK]
    assert found["10-20 s"] == []
    assert found["counts"] == [Kind.COUNT]
    assert found["all"] == [Kind.COUNT, Kind.LOOK]


def all_columns() -> list[tuple[str, Filter]]:
    return [*age_columns().items(), *need_columns().items()]
