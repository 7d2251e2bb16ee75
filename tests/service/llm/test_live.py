"""A session's context against the stock model with the same keys masked, cut or rotated."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import apply_rotary_pos_emb

from compressor.tokens import CompressedChunk, TokenCounts
from service.llm.forward import PackedForward, Segment
from service.llm.live import LiveContext, Part, View
from service.llm.pages import PoolExhausted
from service.llm.policy import Fifo, Policy, Progressive
from service.llm.prompt import tail_inputs, time_shift
from service.llm.rotation import KeyRotation
from service.llm.unit import Unit
from tests.service.llm.thinker import TOLERANCE, Thinker, build_chunk, build_forward
from tests.service.llm.units import build_rules

HEADER = [70, 71, 72, 73, 74, 75, 76]
TAIL = [80, 81, 82, 83, 84]


def open_context(
    forward: PackedForward,
    *,
    max_tokens: int = 1000,
    max_positions: int = 32_768,
    policy: Policy | None = None,
) -> LiveContext:
    context = LiveContext(
        forward.pool,
        build_rules(max_tokens, max_positions=max_positions, policy=policy),
        KeyRotation(forward.rotary),
        header_ids=HEADER,
    )
    write(forward, context, context.begin_header())
    return context


def write(forward: PackedForward, context: LiveContext, part: Part) -> None:
    if len(part.inputs):
        forward.run([Segment(context.sequence, part.inputs, needs_logits=False)])
    context.commit(part)


def append(forward: PackedForward, context: LiveContext, *chunks: CompressedChunk) -> None:
    for chunk in chunks:
        write(forward, context, context.begin(chunk))


def ask(forward: PackedForward, view: View) -> Tensor:
    """Logits after the tail; the view is released."""
    tail = tail_inputs(TAIL, view.ids)
    view.sequence.reserve(len(tail))
    logits = forward.run([Segment(view.sequence, tail, needs_logits=True)])[0].logits
    assert logits is not None
    view.sequence.release()
    return logits


Mark = tuple[int, bool, int]  # unit or -1, is audio, how many of its kind have better scores


def marks_of(chunk: CompressedChunk) -> list[Mark]:
    tokens = list(zip(chunk.modality.tolist(), chunk.scores.tolist(), strict=True))
    unit = round(chunk.start_s / 2)
    return [
        (unit, bool(kind), sum(other == kind and better > score for other, better in tokens))
        for kind, score in tokens
    ]


def is_held(mark: Mark, units: Sequence[Unit]) -> bool:
    unit, is_audio, num_better = mark
    held = {each.index: each.held for each in units}.get(unit, TokenCounts(0, 0))
    return unit < 0 or num_better < (held.audio if is_audio else held.video)


class Reference:
    """The same stream in the stock model's own cache; tokens go and move by plain tensor code."""

    def __init__(self, thinker: Thinker, num_sinks: int = 0) -> None:
        self._thinker = thinker
        self._num_sinks = num_sinks
        self._cache = DynamicCache(config=thinker.model.config)
        self._marks: list[Mark] = []  # per token held
        positions = torch.arange(len(HEADER)).clamp(max=len(HEADER) - 2).expand(3, -1)
        self._feed(thinker.embed(HEADER), positions, [(-1, False, 0)] * len(HEADER))
        self.base = len(HEADER) - 1
        self.origin = 0

    def append(self, chunk: CompressedChunk, unit: Unit) -> None:
        marks = marks_of(chunk)
        is_audio = np.array([audio for _, audio, _ in marks], dtype=np.bool_)
        shift = torch.from_numpy(time_shift(is_audio, self.base - self.origin))
        shift[1:, torch.from_numpy(~is_audio)] = self.base
        kept = [n for n, mark in enumerate(marks) if is_held(mark, [unit])]
        positions = (chunk.positions + shift)[:, kept]
        self._feed(chunk.embeddings[kept], positions, [marks[n] for n in kept])

    def drop_all_but(self, units: Sequence[Unit]) -> None:
        kept = [n for n, mark in enumerate(self._marks) if is_held(mark, units)]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[:, :, kept], layer.values[:, :, kept]
        self._marks = [self._marks[n] for n in kept]

    def move_to(self, origin: int) -> None:
        delta = self.origin - origin
        shift = torch.zeros(3, 1, len(self._marks), dtype=torch.long)
        for n, (unit, audio, _) in enumerate(self._marks):
            if unit >= self._num_sinks:
                shift[:, 0, n] = torch.tensor([delta, delta * audio, delta * audio])
        cos, sin = self._thinker.model.rotary_emb(torch.zeros(1), shift)
        for layer in self._cache.layers:
            layer.keys, _ = apply_rotary_pos_emb(layer.keys, layer.keys, cos, sin)
        self.origin = origin

    def ask(self, end: int) -> Tensor:
        before = self._cache.get_seq_length()
        first = self.base + end - self.origin
        positions = torch.tensor([first, *range(first, first + len(TAIL) - 1)]).expand(3, -1)
        logits = self._thinker.logits(self._thinker.embed(TAIL), positions, cache=self._cache)
        self._cache.crop(before - self._cache.get_seq_length())
        return logits[-1]

    def _feed(self, embeds: Tensor, positions: Tensor, marks: list[Mark]) -> None:
        self._thinker.logits(embeds, positions, cache=self._cache)
        self._marks += marks


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


def held(context: LiveContext) -> list[int]:
    return [unit.index for unit in context.window.units]


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


def test_questions_keep_what_they_saw_while_the_stream_moves_on(thinker: Thinker) -> None:
    forward = build_forward(num_pages=100)
    context = open_context(forward, max_tokens=100, max_positions=480)
    append(forward, context, *(build_chunk(index) for index in range(6)))
    early = context.view(None)
    expected = ask(forward, context.view(None))

    append(forward, context, *(build_chunk(index) for index in range(6, 20)))

    assert context.view(None).ids.origin > early.ids.origin
    torch.testing.assert_close(ask(forward, early), expected, atol=TOLERANCE, rtol=0)


def test_window_of_a_view_equals_having_dropped_the_rest(thinker: Thinker) -> None:
    forward = build_forward(num_pages=100)
    contexts = [open_context(forward) for _ in range(2)]
    for context in contexts:
        append(forward, context, *(build_chunk(index) for index in range(5)))
    view = contexts[0].view(window_s=3.0)

    contexts[1].shrink(sum(unit.num_tokens for unit in contexts[1].window.units[:3]))

    assert (view.start_s, view.end_s) == (6.0, 10.0)
    logits = ask(forward, view)
    torch.testing.assert_close(logits, ask(forward, contexts[1].view(None)), atol=1e-5, rtol=0)
    assert held(contexts[0]) == [0, 1, 2, 3, 4]


def test_view_without_units_sees_the_header() -> None:
    forward = build_forward()

    view = open_context(forward).view(window_s=1.0)

    assert (view.start_s, view.end_s, view.sequence.length) == (0.0, 0.0, len(HEADER))


def test_view_ignores_a_part_under_way() -> None:
    forward = build_forward()
    context = open_context(forward)
    append(forward, context, build_chunk(0))
    expected = ask(forward, context.view(None))
    part = context.begin(build_chunk(1))
    forward.run([Segment(context.sequence, part.inputs.part(0, 7), needs_logits=False)])

    logits = ask(forward, context.view(None))

    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


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


def test_empty_chunk_counts_as_seen() -> None:
    forward = build_forward()
    context = open_context(forward)
    append(forward, context, build_chunk(0), build_chunk(1, keep=0.0))

    view = context.view(None)

    assert held(context) == [0, 1]
    assert view.end_s == 4.0


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
