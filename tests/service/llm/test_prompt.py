"""Ids of header, chunks and questions, against the ids of the whole sequence."""

import numpy as np
import torch

from compressor.omni.positions import header_positions, stream_base, tail_positions
from compressor.tokens import Modality
from service.llm.prompt import (
    StreamIds,
    header_inputs,
    is_audio,
    next_token,
    tail_inputs,
    time_shift,
)
from tests.service.llm.thinker import build_chunk


def test_header_is_numbered_and_fixes_the_base() -> None:
    inputs, ids = header_inputs([7, 8, 9, 1, 2])

    assert torch.equal(torch.from_numpy(inputs.positions), header_positions(5))
    assert inputs.positions[:, -2:].tolist() == [[3, 3]] * 3
    assert ids == StreamIds(base=stream_base(5))


def test_chunk_follows_the_base() -> None:
    chunk = build_chunk(3)

    positions = StreamIds(base=10).of(chunk)

    assert np.array_equal(positions, chunk.positions.numpy() + 10)


def test_origin_moves_what_follows_time_only() -> None:
    chunk = build_chunk(3)

    moved = StreamIds(base=10, origin=100).of(chunk) - StreamIds(base=10).of(chunk)

    video = (chunk.modality == Modality.VIDEO).numpy()
    assert (moved[0] == -100).all()
    assert (moved[1:, video] == 0).all()
    assert (moved[1:, ~video] == -100).all()


def test_moved_ids_equal_those_of_a_stream_that_began_later() -> None:
    late, early = build_chunk(12), build_chunk(2)
    ids = StreamIds(base=10, origin=500)

    # both chunks keep other tokens: compare those that both keep
    common = np.intersect1d(late.kept.numpy(), early.kept.numpy())
    late_columns = ids.of(late)[:, np.searchsorted(late.kept.numpy(), common)]
    early_columns = StreamIds(base=10).of(early)[:, np.searchsorted(early.kept.numpy(), common)]

    assert len(common) > 5
    assert np.array_equal(late_columns, early_columns)
    assert ids.after(late).next_id == StreamIds(base=10).after(early).next_id


def test_text_follows_the_highest_id_before_pruning() -> None:
    ids = StreamIds(base=5)
    for index in range(3):
        ids = ids.after(build_chunk(index, keep=0.1))

    assert ids.next_id == 5 + 150
    tail = tail_inputs([1, 2, 65, 66], ids)
    assert torch.equal(torch.from_numpy(tail.positions), tail_positions(155, 4))
    assert tail.positions[0].tolist() == [155, 155, 156, 157]


def test_empty_chunk_does_not_lower_what_follows() -> None:
    ids = StreamIds(base=5).after(build_chunk(1))
    empty = build_chunk(2, keep=0.0)

    assert len(empty.embeddings) == 0
    assert ids.after(empty).next_id >= ids.next_id
    assert ids.of(empty).shape == (3, 0)


def test_parts_of_inputs_are_slices() -> None:
    inputs, _ = header_inputs([7, 8, 9, 1, 2])

    part = inputs.part(1, 3)

    assert len(part) == 2
    assert isinstance(part.tokens, np.ndarray)
    assert part.tokens.tolist() == [8, 9]
    assert part.positions.tolist() == [[1, 2]] * 3


def test_one_token_has_one_id_on_all_axes() -> None:
    assert next_token(65, 40).positions.tolist() == [[40], [40], [40]]


def test_shift_of_nothing_is_empty() -> None:
    assert time_shift(is_audio(build_chunk(0, keep=0.0)), 5).shape == (3, 0)
