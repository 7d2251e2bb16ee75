"""What a question sees of a session's context, whatever becomes of the stream meanwhile."""

import torch

from service.llm.forward import Segment
from tests.service.llm.contexts import HEADER, append, ask, held, open_context
from tests.service.llm.thinker import TOLERANCE, Thinker, build_chunk, build_forward


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


def test_empty_chunk_counts_as_seen() -> None:
    forward = build_forward()
    context = open_context(forward)
    append(forward, context, build_chunk(0), build_chunk(1, keep=0.0))

    view = context.view(None)

    assert held(context) == [0, 1]
    assert view.end_s == 4.0
