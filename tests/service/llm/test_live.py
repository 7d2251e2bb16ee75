"""A session's context against the stock model with the same keys masked, cut or rotated."""

import numpy as np
import pytest
import torch

from compressor.tokens import CompressedChunk
from service.llm.forward import PackedForward, Segment
from service.llm.live import LiveContext
from service.llm.pages import PoolExhausted
from service.llm.policy import Fifo, Policy, Progressive
from service.llm.prompt import tail_inputs
from service.llm.unit import Unit
from tests.service.llm.contexts import HEADER, TAIL, append, ask, held, open_context, write
from tests.service.llm.reference import Mark, Reference, is_held, marks_of
from tests.service.llm.thinker import TOLERANCE, Thinker, build_chunk, build_forward


def draw_log(seed: int) -> list[CompressedChunk]:
    """Chunks of all sizes, some of them missing, some muted, some of which nothing was kept."""
    random = np.random.default_rng(seed)
    indices = np.cumsum(random.integers(1, 3, size=30)) - 1
    return [
        build_chunk(
            int(index),
            seed=seed,
            keep=float(random.choice([0.0, 0.2, 0.4, 0.6])),
            num_audio=int(random.choice([0, 20, 50])),
        )
        for index in indices
    ]


def labels_of(context: LiveContext) -> set[tuple[int, bool, int]]:
    labels = context._labels
    columns = (labels.unit_of, labels.is_audio, labels.rank)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("policy", "expected_units"),
    [(Fifo(), [3, 4, 5]), (Fifo(1), [0, 4, 5]), (Progressive(0.2, (1.0, 0.5)), [3, 4, 5])],
    ids=str,
)
def test_removed_tokens_equal_masked_keys(
    thinker: Thinker, policy: Policy, expected_units: list[int]
) -> None:
    forward = build_forward(page_tokens=8)
    context = open_context(forward, max_tokens=80, policy=policy)
    chunks = [build_chunk(index) for index in range(6)]
    header = context.begin_header().inputs.positions
    parts = [torch.from_numpy(header)]
    marks: list[Mark] = [(-1, False, 0)] * len(HEADER)
    seen_by: list[tuple[Unit, ...]] = [()] * len(HEADER)

    for chunk in chunks:
        append(forward, context, chunk)
        parts.append(chunk.positions + len(HEADER) - 1)
        marks += marks_of(chunk)
        seen_by += [context.window.units] * len(chunk.embeddings)
    view = context.view(None)
    logits = ask(forward, context.view(None))

    parts.append(torch.from_numpy(tail_inputs(TAIL, view.ids).positions))
    marks += [(-1, False, 0)] * len(TAIL)
    seen_by += [context.window.units] * len(TAIL)
    embeds = torch.cat(
        [thinker.embed(HEADER), *(chunk.embeddings for chunk in chunks), thinker.embed(TAIL)]
    )
    mask = torch.tensor([[is_held(key, units) for key in marks] for units in seen_by]).tril()
    expected = thinker.logits(embeds, torch.cat(parts, dim=1), mask=mask)[-1]
    assert held(context) == expected_units
    assert view.sequence.length == len(HEADER) + context.window.num_tokens
    is_faded = any(0 < unit.held.video < unit.arrived.video for unit in context.window.units)
    assert is_faded == isinstance(policy, Progressive)
    torch.testing.assert_close(logits, expected, atol=TOLERANCE, rtol=0)
    # masking must matter, or the test shows nothing
    unmasked = thinker.logits(embeds, torch.cat(parts, dim=1))[-1]
    assert (unmasked - expected).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("page_tokens", "policy"),
    [(1, Fifo()), (16, Fifo()), (16, Fifo(2)), (8, Progressive(0.3, (1.0, 0.5, 0.2)))],
    ids=str,
)
def test_long_stream_equals_a_cache_that_is_cut_and_rotated(
    thinker: Thinker, page_tokens: int, policy: Policy
) -> None:
    forward = build_forward(page_tokens=page_tokens, num_pages=1600 // page_tokens)
    context = open_context(forward, max_tokens=150, max_positions=640, policy=policy)
    reference = Reference(thinker, policy.num_sinks)
    origins = set()

    for index in range(40):
        chunk = build_chunk(index)
        append(forward, context, chunk)
        reference.drop_all_but(context.window.units)
        if (view := context.view(None)).ids.origin != reference.origin:
            reference.move_to(view.ids.origin)
        reference.append(chunk, context.window.units[-1])
        origins.add(view.ids.origin)
        expected = reference.ask(view.ids.end)
        torch.testing.assert_close(ask(forward, view), expected, atol=TOLERANCE, rtol=0)

    assert len(origins) > 10
    assert len(held(context)) < 9
    assert held(context)[: policy.num_sinks] == list(range(policy.num_sinks))
    forward.pool.check_integrity([context.sequence.pages])


@pytest.mark.parametrize("policy", [Fifo(), Fifo(2), Progressive()], ids=str)
def test_end_of_a_stream_gives_the_same_units_at_the_same_ids(policy: Policy) -> None:
    forward = build_forward(num_pages=100)
    whole, rebuilt = (
        open_context(forward, max_tokens=150, max_positions=640, policy=policy) for _ in range(2)
    )
    chunks = [build_chunk(index) for index in range(40)]
    append(forward, whole, *chunks)
    [first, *_] = [index for index in held(whole) if index >= policy.num_sinks]

    append(forward, rebuilt, *chunks[: policy.num_sinks], *chunks[first:])

    assert rebuilt.window.units == whole.window.units
    assert rebuilt.view(None).ids == whole.view(None).ids
    assert whole.view(None).ids.origin > 640
    assert rebuilt.sequence.length == whole.sequence.length


@pytest.mark.parametrize("policy", [Fifo(), Fifo(2), Progressive(0.3, (1.0, 0.5, 0.2))], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_chunks_that_enter_together_equal_a_stream_of_what_is_left_of_them(
    thinker: Thinker, seed: int, policy: Policy
) -> None:
    forward = build_forward(page_tokens=8, num_pages=200)
    limits = {"max_tokens": 150, "max_positions": 1200}
    straight, together = (open_context(forward, policy=policy, **limits) for _ in range(2))
    chunks = draw_log(seed)
    num_before = (0, 1, 9)[seed % 3]
    append(forward, straight, *chunks)

    append(forward, together, *chunks[:num_before])
    write(forward, together, together.begin(*chunks[num_before:]))

    assert together.window.units == straight.window.units
    assert labels_of(together) == labels_of(straight)
    assert together.view(None).ids == straight.view(None).ids
    if num_before:
        return  # what came before them has seen other tokens than are left
    reference, view = Reference(thinker, policy.num_sinks), together.view(None)
    left = {unit.index: unit for unit in together.window.units if unit.num_tokens}
    for chunk in chunks:
        unit = left.get(together.unit(chunk).index)
        if unit is not None and unit.index >= policy.num_sinks:
            reference.origin = view.ids.origin
        if unit is not None:
            reference.append(chunk, unit)
    expected = reference.ask(view.ids.end)
    torch.testing.assert_close(ask(forward, view), expected, atol=TOLERANCE, rtol=0)


def test_chunks_that_enter_together_while_nothing_goes_equal_one_by_one() -> None:
    forward = build_forward(num_pages=100)
    one_by_one, together = (open_context(forward) for _ in range(2))
    chunks = [build_chunk(index) for index in range(6)]
    append(forward, one_by_one, *chunks)

    append(forward, together, chunks[0])
    write(forward, together, together.begin(*chunks[1:]))

    expected = ask(forward, one_by_one.view(None))
    torch.testing.assert_close(ask(forward, together.view(None)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("policy", [Fifo(), Fifo(4), Progressive()], ids=str)
def test_hour_of_stream_holds_flat_memory(policy: Policy) -> None:
    forward = build_forward(num_pages=100)
    context = open_context(forward, max_tokens=600, max_positions=8192, policy=policy)
    pages, tokens = [], []

    for index in range(1800):
        part = context.begin(build_chunk(index))
        assert int(part.inputs.positions.max()) < 8192
        context.sequence.advance(len(part.inputs))  # written, as far as lengths go
        context.commit(part)
        pages.append(len(context.sequence.pages))
        tokens.append(context.window.num_tokens)

    forward.pool.check_integrity([context.sequence.pages])
    assert context.view(None).ids.origin > 10 * 8192
    assert max(tokens) <= 600
    assert max(pages) <= (600 + len(HEADER)) // 16 + 1
    assert min(pages[60:]) > 0.8 * max(pages)
    assert max(pages[60:150]) >= max(pages[150:]) - 1  # five minutes are as much as sixty


def test_rolled_back_part_leaves_no_trace() -> None:
    forward = build_forward()
    context = open_context(forward)
    append(forward, context, build_chunk(0))
    expected, free = ask(forward, context.view(None)), forward.pool.num_free
    part = context.begin(build_chunk(1))
    forward.run([Segment(context.sequence, part.inputs.part(0, 7), needs_logits=False)])

    context.rollback(scrub=True)

    assert forward.pool.num_free == free
    assert held(context) == [0]
    torch.testing.assert_close(ask(forward, context.view(None)), expected, atol=1e-5, rtol=0)


def first_refused(forward: PackedForward, context: LiveContext) -> int:
    """Append while a question shares all pages, until a chunk finds no page; its index."""
    for index in range(40):
        fork = context.view(None).sequence
        try:
            append(forward, context, build_chunk(index))
        except PoolExhausted:
            return index
        finally:
            fork.release()
    raise AssertionError("the pool is too large for this test")


@pytest.mark.parametrize(
    ("num_pages", "limits"),
    [(10, {"max_tokens": 110}), (20, {"max_positions": 640})],
    ids=["dropping", "rebasing"],
)
def test_chunk_that_found_no_page_comes_in_as_if_it_always_had(
    num_pages: int, limits: dict[str, int]
) -> None:
    forward, reference = build_forward(num_pages=num_pages), build_forward(num_pages=100)
    context, expected = open_context(forward, **limits), open_context(reference, **limits)
    index = first_refused(forward, context)

    append(forward, context, build_chunk(index))

    append(reference, expected, *map(build_chunk, range(index + 1)))
    assert index > 2
    assert held(context) == held(expected)
    logits = ask(reference, expected.view(None))
    torch.testing.assert_close(ask(forward, context.view(None)), logits, atol=TOLERANCE, rtol=0)


def test_every_page_comes_back() -> None:
    forward = build_forward(num_pages=40)
    context = open_context(forward, max_tokens=100)
    append(forward, context, *map(build_chunk, range(10)))

    context.release()

    assert forward.pool.num_free == 40
