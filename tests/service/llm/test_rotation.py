"""Rotated keys against keys computed at their new ids."""

import numpy as np
import pytest
import torch

from service.llm.forward import PackedForward, Segment
from service.llm.prompt import Inputs
from service.llm.rotation import KeyRotation
from service.llm.sequence import PagedSequence
from tests.service.llm.thinker import TOLERANCE, Stream, Thinker, build_forward, build_stream


def fed(forward: PackedForward, stream: Stream, stop: int, shift: np.ndarray) -> PagedSequence:
    sequence = PagedSequence(forward.pool)
    sequence.reserve(stop)
    part = stream.part(0, stop)
    forward.run([Segment(sequence, Inputs(part.tokens, part.positions + shift), True)])
    return sequence


def keys_of(sequence: PagedSequence, layer: int) -> torch.Tensor:
    return sequence.pool.keys[layer].flatten(0, 1)[sequence.slots(0, sequence.length)]


@pytest.mark.parametrize("delta", [50, 500])
def test_moving_a_whole_sequence_back_equals_never_having_been_away(
    thinker: Thinker, delta: int
) -> None:
    forward, stream = build_forward(), build_stream()
    half = len(stream) // 2
    sequence = fed(forward, stream, half, np.array(delta))

    shifts = np.full((3, half), -delta)
    KeyRotation(forward.rotary)(forward.pool, sequence.slots(0, half), shifts)

    rest = len(stream) - half
    sequence.reserve(rest)
    result = forward.run([Segment(sequence, stream.part(half, len(stream)), needs_logits=True)])
    expected = thinker.logits(stream.embeds, stream.positions)[-1]
    torch.testing.assert_close(result[0].logits, expected, atol=TOLERANCE, rtol=0)


def test_every_token_moves_on_its_own_axes() -> None:
    # keys of the first layer depend on nothing but their token and its ids
    forward, stream = build_forward(), build_stream()
    shifts = np.random.default_rng(0).integers(-200, 200, (3, len(stream)))
    sequence = fed(forward, stream, len(stream), np.array(0))
    expected = fed(forward, stream, len(stream), shifts)

    KeyRotation(forward.rotary)(forward.pool, sequence.slots(0, len(stream)), shifts)

    difference = keys_of(sequence, 0) - keys_of(expected, 0)
    assert difference.abs().max() <= TOLERANCE


def test_other_slots_and_values_stay_as_they_are() -> None:
    forward, stream = build_forward(), build_stream()
    sequence = fed(forward, stream, 20, np.array(0))
    keys, values = forward.pool.keys.clone(), forward.pool.values.clone()

    KeyRotation(forward.rotary)(forward.pool, sequence.slots(5, 9), np.full((3, 4), -7))

    assert torch.equal(forward.pool.values, values)
    is_changed = (forward.pool.keys != keys).flatten(3).any(-1).any(0).flatten()
    assert is_changed.nonzero().flatten().tolist() == sorted(sequence.slots(5, 9).tolist())
