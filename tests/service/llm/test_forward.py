"""Packed forwards against one-shot forwards of the stock model."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from service.errors import BadRequest, EngineUnavailable
from service.llm.forward import PackedForward, Segment, SegmentResult
from service.llm.prompt import Inputs
from service.llm.sequence import PagedSequence
from tests.service.llm.thinker import TOLERANCE, Stream, Thinker, build_forward, build_stream


@pytest.fixture
def forward() -> PackedForward:
    return build_forward()


def feed(forward: PackedForward, *parts: tuple[PagedSequence, Inputs]) -> Tensor:
    """Reserve and run; the logits of every part."""
    for sequence, inputs in parts:
        sequence.reserve(len(inputs))
    results = forward.run([Segment(sequence, inputs, True) for sequence, inputs in parts])
    return stacked(results)


def stacked(results: list[SegmentResult]) -> Tensor:
    assert all(result.error is None for result in results)
    return torch.stack([result.logits for result in results if result.logits is not None])


def text(ids: list[int], start: int) -> Inputs:
    return Inputs(np.array(ids), np.arange(start, start + len(ids))[None].repeat(3, axis=0))


@pytest.mark.parametrize("step", [1, 7, 16, 1000])
def test_stream_in_pieces_equals_one_shot(
    forward: PackedForward, thinker: Thinker, step: int
) -> None:
    stream = build_stream()
    sequence = PagedSequence(forward.pool)
    expected = thinker.logits(stream.embeds, stream.positions)

    for start in range(0, len(stream), step):
        stop = min(start + step, len(stream))
        logits = feed(forward, (sequence, stream.part(start, stop)))
        torch.testing.assert_close(logits[0], expected[stop - 1], atol=TOLERANCE, rtol=0)

    assert sequence.length == len(stream)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=30)
def test_random_mixed_batches_equal_one_shot(thinker: Thinker, seed: int, page_tokens: int) -> None:
    forward = build_forward(num_pages=400, page_tokens=page_tokens)
    streams = [build_stream(seed % 1000 + number, num_chunks=2) for number in range(4)]
    expected = [thinker.logits(stream.embeds, stream.positions) for stream in streams]
    sequences = [PagedSequence(forward.pool) for _ in streams]

    for wanted in random_schedule(streams, seed):
        lengths = [sequence.length for sequence in sequences]
        parts = [
            (sequences[n], streams[n].part(lengths[n], lengths[n] + count))
            for n, count in wanted.items()
        ]
        logits = feed(forward, *parts)
        for row, (n, count) in zip(logits, wanted.items(), strict=True):
            reference = expected[n][lengths[n] + count - 1]
            torch.testing.assert_close(row, reference, atol=TOLERANCE, rtol=0)


def random_schedule(streams: list[Stream], seed: int) -> Iterator[dict[int, int]]:
    """Tokens to feed of some of the streams, until all are fed; about half are single tokens."""
    random = np.random.default_rng(seed)
    left = [len(stream) for stream in streams]
    while any(left):
        wanted = {}
        for n, rest in enumerate(left):
            if rest and random.random() < 0.7:
                wanted[n] = int(min(rest, 1 if random.random() < 0.5 else random.integers(1, 40)))
        for n in random.permutation(list(wanted)).tolist():
            left[n] -= wanted[n]
        if wanted:
            yield wanted


def test_forks_do_not_disturb_each_other_or_their_origin(
    forward: PackedForward, thinker: Thinker
) -> None:
    stream = build_stream()
    half = len(stream) // 2
    session = PagedSequence(forward.pool)
    feed(forward, (session, stream.part(0, half)))
    start = int(stream.positions.max()) + 1
    questions = [text([65, 66, 67], start), text([70] * 20, start), text([80], start)]

    forks = [session.fork() for _ in questions]
    rows = feed(
        forward, *zip(forks, questions, strict=True), (session, stream.part(half, len(stream)))
    )

    whole = thinker.logits(stream.embeds, stream.positions)
    torch.testing.assert_close(rows[-1], whole[-1], atol=TOLERANCE, rtol=0)
    for row, question in zip(rows, questions, strict=False):
        assert isinstance(question.tokens, np.ndarray)
        embeds = torch.cat([stream.embeds[:half], thinker.embed(question.tokens.tolist())])
        positions = torch.cat(
            [stream.positions[:, :half], torch.from_numpy(question.positions)], dim=1
        )
        expected = thinker.logits(embeds, positions)[-1]
        torch.testing.assert_close(row, expected, atol=TOLERANCE, rtol=0)


def test_only_wanted_logits_come_back_in_order(forward: PackedForward) -> None:
    stream = build_stream()
    sequences = [PagedSequence(forward.pool) for _ in range(3)]
    alone = [feed(forward, (PagedSequence(forward.pool), stream.part(n, n + 5))) for n in range(3)]
    for sequence in sequences:
        sequence.reserve(5)

    results = forward.run(
        [
            Segment(sequence, stream.part(n, n + 5), needs_logits=n != 1)
            for n, sequence in enumerate(sequences)
        ]
    )

    assert results[1].logits is None
    expected = torch.cat([alone[0], alone[2]])
    torch.testing.assert_close(stacked(results), expected, atol=TOLERANCE, rtol=0)
    assert [sequence.length for sequence in sequences] == [5, 5, 5]


def test_spoilt_segment_is_reported_alone(forward: PackedForward) -> None:
    stream = build_stream()
    good, bad = PagedSequence(forward.pool), PagedSequence(forward.pool)
    spoilt = Inputs(torch.full((3, forward.hidden_size), torch.nan), stream.part(0, 3).positions)
    for sequence in (good, bad):
        sequence.reserve(3)

    spoilt_result, result = forward.run(
        [Segment(bad, spoilt, True), Segment(good, stream.part(0, 3), needs_logits=True)]
    )

    assert isinstance(spoilt_result.error, BadRequest)
    assert (bad.length, good.length) == (0, 3)
    expected = feed(forward, (PagedSequence(forward.pool), stream.part(0, 3)))
    torch.testing.assert_close(stacked([result]), expected, atol=TOLERANCE, rtol=0)


def test_spoilt_fork_does_not_spoil_those_that_share_its_pages(forward: PackedForward) -> None:
    stream = build_stream()
    origin = PagedSequence(forward.pool)
    feed(forward, (origin, stream.part(0, 40)))
    forks = [origin.fork() for _ in range(3)]
    spoilt = Inputs(torch.full((1, forward.hidden_size), torch.nan), stream.part(40, 41).positions)
    inputs = [stream.part(40, 41), spoilt, stream.part(41, 42)]
    for fork in forks:
        fork.reserve(1)

    results = forward.run([Segment(*pair, True) for pair in zip(forks, inputs, strict=True)])

    assert [result.error is None for result in results] == [True, False, True]
    alone = [feed(forward, (origin.fork(), inputs[row])) for row in (0, 2)]
    torch.testing.assert_close(stacked(results[::2]), torch.cat(alone), atol=TOLERANCE, rtol=0)


def test_segment_that_the_model_cannot_run_fails_alone(
    forward: PackedForward, caplog: pytest.LogCaptureFixture
) -> None:
    stream = build_stream()
    sequences = [PagedSequence(forward.pool) for _ in range(3)]
    too_wide = Inputs(torch.zeros(3, forward.hidden_size + 1), stream.part(0, 3).positions)
    inputs = [stream.part(0, 3), too_wide, stream.part(5, 8)]
    for sequence in sequences:
        sequence.reserve(3)

    results = forward.run([Segment(*pair, True) for pair in zip(sequences, inputs, strict=True)])

    assert isinstance(results[1].error, EngineUnavailable)
    assert [sequence.length for sequence in sequences] == [3, 0, 3]
    fresh = [PagedSequence(forward.pool) for _ in range(2)]
    expected = feed(forward, *zip(fresh, inputs[::2], strict=True))
    torch.testing.assert_close(stacked(results[::2]), expected, atol=TOLERANCE, rtol=0)
    assert "forward of one sequence failed" in caplog.text


def test_scrubbed_pages_do_not_poison_the_next_holder(forward: PackedForward) -> None:
    stream = build_stream()
    bad = PagedSequence(forward.pool)
    bad.reserve(40)
    spoilt = Inputs(torch.full((40, forward.hidden_size), torch.nan), stream.part(0, 40).positions)
    forward.run([Segment(bad, spoilt, needs_logits=False)])
    bad.release(scrub=True)

    rows = []
    for number in range(2):  # single tokens of two sequences: padded to whole pages
        sequence = PagedSequence(forward.pool)
        feed(forward, (sequence, stream.part(0, 17)))
        rows.append((sequence, stream.part(17 + number, 18 + number)))

    assert feed(forward, *rows).isfinite().all()
