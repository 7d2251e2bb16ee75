"""What the scheduler refuses, and what fails alone."""

import pytest
import torch
from torch import Tensor, nn

from service.errors import AtCapacity, BadRequest, EngineUnavailable, SessionNotFound
from service.llm.config import EngineConfig
from service.llm.scheduler import MAX_WAITING_CHUNKS
from tests.service.llm.desk import NUM_TOKENS, A, B, Desk, stream
from tests.service.llm.thinker import Thinker, build_chunk, build_scheduler, build_thinker, greedy


def test_of_chunks_that_enter_together_one_that_is_out_of_order_stops_all() -> None:
    desk = Desk()
    desk.open(A, build_chunk(0))

    with pytest.raises(BadRequest, match="comes after"):
        desk.scheduler.append(A, build_chunk(1), build_chunk(1))
    desk.run()

    assert desk.scheduler.held(A) == [0]


def spoiling_thinker(marker: float) -> Thinker:
    """A model from which no numbers come for tokens whose embedding begins with a marker."""
    thinker = build_thinker()

    def spoil(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        is_marked = inputs[0][..., :1] == marker
        return (inputs[0].masked_fill(is_marked, torch.nan),)

    thinker.model.layers[0].register_forward_pre_hook(spoil)
    return thinker


def test_chunk_that_spoils_the_cache_fails_alone(thinker: Thinker) -> None:
    desk = Desk(build_scheduler(thinker=spoiling_thinker(marker=123.0)))
    bad = build_chunk(3, seed=1)
    bad.embeddings[4, 0] = 123.0
    desk.open(A, *stream(1), bad)
    desk.open(B, *stream(2))
    desk.run()

    desk.ask(A, "what?", "of a")
    desk.ask(B, "what?", "of b")
    desk.run()

    assert list(desk.chunk_errors) == [(A, 3)]
    assert isinstance(desk.chunk_errors[A, 3], BadRequest)
    assert desk.tokens["of a"] == greedy(thinker, stream(1), "what?", NUM_TOKENS)
    assert desk.tokens["of b"] == greedy(thinker, stream(2), "what?", NUM_TOKENS)


def test_question_that_the_model_cannot_answer_fails_alone(thinker: Thinker) -> None:
    spoilt = spoiling_thinker(marker=123.0)
    spoilt.model.embed_tokens.weight[ord("Z"), 0] = 123.0
    desk = Desk(build_scheduler(thinker=spoilt))
    desk.open(A, *stream(1))
    desk.run()
    free = desk.scheduler.stats().pages_free

    for text in ("what?", "Z", "why?"):
        desk.ask(A, text)
    desk.run()

    assert isinstance(desk.ends["Z"], EngineUnavailable)
    for text in ("what?", "why?"):
        assert desk.tokens[text] == greedy(thinker, stream(1), text, NUM_TOKENS)
    assert desk.scheduler.stats().pages_free == free


def test_malformed_requests_are_refused_at_once() -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.ask(A, "what?")

    with pytest.raises(BadRequest, match="open already"):
        desk.open(A)
    with pytest.raises(BadRequest, match="instructions may take"):
        desk.scheduler.open(B, "x" * 3000)
    with pytest.raises(BadRequest, match="comes after chunk 2"):
        desk.scheduler.append(A, stream(1)[2])
    with pytest.raises(BadRequest, match="is being answered"):
        desk.ask(A, "what?")
    with pytest.raises(BadRequest, match="max_tokens"):
        desk.ask(A, "why?", max_tokens=0)
    with pytest.raises(SessionNotFound):
        desk.scheduler.append(B, stream(1)[0])


def test_too_much_at_once_is_refused() -> None:
    config = EngineConfig(num_pages=200, context_tokens=400, max_questions=2)
    desk = Desk(build_scheduler(config))
    desk.open(A)
    for number in range(2):
        desk.ask(A, "what?", str(number))
    for index in range(MAX_WAITING_CHUNKS):
        desk.scheduler.append(A, build_chunk(index))

    with pytest.raises(AtCapacity, match="questions is at its limit of 2"):
        desk.ask(A, "what?", "third")
    with pytest.raises(AtCapacity, match="waiting_chunks"):
        desk.scheduler.append(A, build_chunk(MAX_WAITING_CHUNKS))
