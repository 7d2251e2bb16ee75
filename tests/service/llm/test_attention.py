"""What the packed forward tells an attention body."""

import torch

from service.llm.attention import IMPLEMENTATION, Span, use_paged_attention, written_slots
from service.llm.sequence import PagedSequence
from tests.service.llm.thinker import build_pool, build_thinker


def test_span_counts_rows_and_keys() -> None:
    sequence = PagedSequence(build_pool())
    sequence.reserve(20)
    sequence.advance(20)

    span = Span(sequence, start=3, num_tokens=5)

    assert (span.stop, span.num_keys) == (8, 25)


def test_new_tokens_are_written_behind_the_cached_ones() -> None:
    pool = build_pool(page_tokens=4)
    first, second = PagedSequence(pool), PagedSequence(pool)
    first.reserve(6)
    second.reserve(3)
    first.advance(3)

    slots = written_slots(pool, [Span(first, 0, 3), Span(second, 3, 3)])

    expected = [*first.slots(3, 6).tolist(), *second.slots(0, 3).tolist()]
    assert slots.tolist() == expected
    assert len(set(expected)) == 6


def test_only_the_switched_model_changes() -> None:
    ours, stock = build_thinker().model, build_thinker().model

    use_paged_attention(ours)

    assert ours.config._attn_implementation == IMPLEMENTATION
    assert stock.config._attn_implementation == "sdpa"
    with torch.inference_mode():
        stock(inputs_embeds=torch.zeros(1, 3, stock.config.hidden_size))
