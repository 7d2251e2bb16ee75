"""Contexts of a session, filled and asked over a real forward."""

from torch import Tensor

from compressor.tokens import CompressedChunk
from service.llm.forward import PackedForward, Segment
from service.llm.live import LiveContext, Part, View
from service.llm.policy import Policy
from service.llm.prompt import tail_inputs
from service.llm.rotation import KeyRotation
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


def held(context: LiveContext) -> list[int]:
    return [unit.index for unit in context.window.units]
