"""Which token is which, and which of them a unit still holds."""

from dataclasses import replace

import numpy as np
import torch

from compressor.tokens import TokenCounts
from service.llm.labels import Labels
from service.llm.unit import Unit, unit_of
from tests.service.llm.thinker import build_chunk


def labelled(*indices: int) -> tuple[Labels, list[Unit]]:
    chunks = [build_chunk(index) for index in indices]
    labels = Labels.of_header(5)
    for chunk, index in zip(chunks, indices, strict=True):
        labels = Labels.joined([labels, Labels.of_chunk(chunk, index)])
    return labels, [unit_of(chunk, 25) for chunk in chunks]


def test_whole_units_hold_every_token() -> None:
    labels, units = labelled(2, 3, 7)

    assert labels.held_by(units).all()
    assert len(labels) == 5 + sum(unit.num_tokens for unit in units)


def test_header_is_always_held_and_missing_units_are_not() -> None:
    labels, units = labelled(2, 3, 7)

    assert labels.held_by([]).sum() == 5
    marks = labels.held_by([units[1]])
    assert np.unique(labels.unit_of[marks]).tolist() == [-1, 3]


def test_reduced_unit_holds_its_best_tokens_of_each_modality() -> None:
    chunk = build_chunk(2)
    unit = unit_of(chunk, 25).reduced_to(TokenCounts(3, 5))

    marks = torch.from_numpy(Labels.of_chunk(chunk, 2).held_by([unit]))

    for modality, number in ((0, 3), (1, 5)):
        is_of = chunk.modality == modality
        best = chunk.scores[is_of].topk(number).values.sort().values
        torch.testing.assert_close(chunk.scores[is_of & marks].sort().values, best)


def test_demotion_in_steps_equals_demotion_at_once() -> None:
    labels, [unit] = labelled(4)
    slightly, strongly = unit.reduced_to(TokenCounts(6, 9)), unit.reduced_to(TokenCounts(2, 9))
    order = np.random.default_rng(0).permutation(len(labels))  # as compaction leaves them

    after_two = labels.take(order[labels.take(order).held_by([slightly])])
    after_two = after_two.take(np.flatnonzero(after_two.held_by([strongly])))

    at_once = labels.take(np.flatnonzero(labels.held_by([strongly])))
    assert sorted(zip(after_two.is_audio, after_two.rank, strict=True)) == sorted(
        zip(at_once.is_audio, at_once.rank, strict=True)
    )


def test_equal_scores_are_ranked_by_place() -> None:
    chunk = build_chunk(1)
    even = replace(chunk, scores=torch.ones_like(chunk.scores))

    labels = Labels.of_chunk(even, 1)

    video, audio = chunk.counts_kept.video, chunk.counts_kept.audio
    assert labels.rank.tolist() == [*range(video), *range(audio)]


def test_empty_chunk_has_no_labels() -> None:
    assert len(Labels.of_chunk(build_chunk(1, keep=0.0), 1)) == 0
