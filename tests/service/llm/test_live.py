"""A session's context against the stock model with the same keys masked, cut or rotated."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import apply_rotary_pos_emb

from compressor.tokens import CompressedChunk
from service.llm.context import ContextWindow, Horizon
from service.llm.forward import PackedForward, Segment
from service.llm.live import LiveContext, Part, View
from service.llm.pages import PoolExhausted
from service.llm.prompt import tail_inputs, time_shift
from service.llm.rotation import KeyRotation
from tests.service.llm.thinker import TOLERANCE, Thinker, build_chunk, build_forward

HEADER = [70, 71, 72, 73, 74, 75, 76]
TAIL = [80, 81, 82, 83, 84]


def open_context(
    forward: PackedForward, *, max_tokens: int = 1000, max_positions: int = 32_768
) -> LiveContext:
    context = LiveContext(
        forward.pool,
        ContextWindow(max_tokens=max_tokens, horizon=Horizon(max_positions)),
        KeyRotation(forward.rotary),
        header_ids=HEADER,
        ids_per_s=25,
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


class Reference:
    """The same stream in the stock model's own cache; tokens go and move by plain tensor code."""

    def __init__(self, thinker: Thinker) -> None:
        self._thinker = thinker
        self._cache = DynamicCache(config=thinker.model.config)
        self._marks: list[tuple[int, bool]] = []  # (unit or -1, is audio), per token held
        positions = torch.arange(len(HEADER)).clamp(max=len(HEADER) - 2).expand(3, -1)
        self._feed(thinker.embed(HEADER), positions, [(-1, False)] * len(HEADER))
        self.base = len(HEADER) - 1
        self.origin = 0

    def append(self, chunk: CompressedChunk) -> None:
        marks = [(round(chunk.start_s / 2), bool(m)) for m in chunk.modality.tolist()]
        is_audio = np.array([audio for _, audio in marks], dtype=np.bool_)
        shift = torch.from_numpy(time_shift(is_audio, self.base - self.origin))
        shift[1:, torch.from_numpy(~is_audio)] = self.base
        self._feed(chunk.embeddings, chunk.positions + shift, marks)

    def drop_all_but(self, units: list[int]) -> None:
        kept = [n for n, (unit, _) in enumerate(self._marks) if unit in (-1, *units)]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[:, :, kept], layer.values[:, :, kept]
        self._marks = [self._marks[n] for n in kept]

    def move_to(self, origin: int) -> None:
        delta = self.origin - origin
        shift = torch.zeros(3, 1, len(self._marks), dtype=torch.long)
        for n, (unit, audio) in enumerate(self._marks):
            if unit >= 0:
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

    def _feed(self, embeds: Tensor, positions: Tensor, marks: list[tuple[int, bool]]) -> None:
        self._thinker.logits(embeds, positions, cache=self._cache)
        self._marks += marks


def held(context: LiveContext) -> list[int]:
    return [unit.index for unit in context.window.units]


def test_dropped_units_equal_masked_keys(thinker: Thinker) -> None:
    forward = build_forward(page_tokens=8)
    context = open_context(forward, max_tokens=70)
    chunks = [build_chunk(index) for index in range(6)]
    header = context.begin_header().inputs.positions
    parts = [torch.from_numpy(header)]
    unit_of = [-1] * len(HEADER)
    seen_by = [[-1]] * len(HEADER)

    for index, chunk in enumerate(chunks):
        append(forward, context, chunk)
        parts.append(chunk.positions + len(HEADER) - 1)
        unit_of += [index] * len(chunk.embeddings)
        seen_by += [[-1, *held(context)]] * len(chunk.embeddings)
    logits = ask(forward, context.view(None))

    tail = torch.from_numpy(tail_inputs(TAIL, context.view(None).ids).positions)
    unit_of += [99] * len(TAIL)
    seen_by += [[-1, *held(context), 99]] * len(TAIL)
    embeds = torch.cat(
        [thinker.embed(HEADER), *(chunk.embeddings for chunk in chunks), thinker.embed(TAIL)]
    )
    mask = torch.tensor([[key in seen for key in unit_of] for seen in seen_by]).tril()
    expected = thinker.logits(embeds, torch.cat([*parts, tail], dim=1), mask=mask)[-1]
    assert held(context) == [4, 5]
    torch.testing.assert_close(logits, expected, atol=TOLERANCE, rtol=0)
    # masking must matter, or the test shows nothing
    unmasked = thinker.logits(embeds, torch.cat([*parts, tail], dim=1))[-1]
    assert (unmasked - expected).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("page_tokens", [1, 16])
def test_long_stream_equals_a_cache_that_is_cut_and_rotated(
    thinker: Thinker, page_tokens: int
) -> None:
    forward = build_forward(page_tokens=page_tokens, num_pages=1600 // page_tokens)
    context = open_context(forward, max_tokens=150, max_positions=640)
    reference = Reference(thinker)
    origins = set()

    for index in range(40):
        chunk = build_chunk(index)
        append(forward, context, chunk)
        reference.drop_all_but(held(context))
        if (view := context.view(None)).ids.origin != reference.origin:
            reference.move_to(view.ids.origin)
        reference.append(chunk)
        origins.add(view.ids.origin)
        expected = reference.ask(view.ids.end)
        torch.testing.assert_close(ask(forward, view), expected, atol=TOLERANCE, rtol=0)

    assert len(origins) > 10
    assert len(held(context)) < 8
    forward.pool.check_integrity([context.sequence.pages])


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

    contexts[1].drop([0, 1, 2])

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
