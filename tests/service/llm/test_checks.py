"""Chunks and questions that are refused at the edge, and why."""

from dataclasses import replace

import pytest
import torch

from compressor.tokens import CompressedChunk
from service.errors import BadRequest
from service.llm.checks import check_chunk, check_question
from service.llm.engine import Message, Question, Sampling
from tests.service.llm.thinker import HIDDEN_SIZE, build_chat, build_chunk
from tests.service.llm.units import build_rules

CHUNK = build_chunk(3)
QUESTION = Question("q", (Message("user", "what?"),))


def check(chunk: CompressedChunk, *, after: int = 2, max_tokens: int = 1000) -> None:
    rules = build_rules(max_tokens)
    assert check_chunk(chunk, after=after, hidden_size=HIDDEN_SIZE, rules=rules) == 3


def test_chunk_as_the_compressor_gives_it_passes() -> None:
    check(CHUNK)
    check(build_chunk(3, keep=0.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": CHUNK.embeddings[:, :-1]}, "has embeddings"),
        ({"embeddings": CHUNK.embeddings[0]}, "has embeddings"),
        ({"positions": CHUNK.positions[:2]}, "has positions"),
        ({"positions": CHUNK.positions[:, 1:]}, "has positions"),
        ({"modality": CHUNK.modality[1:]}, "has modality"),
        ({"scores": CHUNK.scores[1:]}, "has scores"),
        ({"modality": 1 - CHUNK.modality}, "has TokenCounts.* but says"),
        ({"embeddings": CHUNK.embeddings.clone().fill_(torch.nan)}, "not finite"),
        ({"embeddings": CHUNK.embeddings / 0}, "not finite"),
    ],
)
def test_malformed_chunk_is_refused(change: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(BadRequest, match=f"chunk 3 .*{message}") as caught:
        check(replace(CHUNK, **change))

    assert caught.value.details["field"] == "chunk"


@pytest.mark.parametrize("after", [3, 4])
def test_chunk_out_of_order_is_refused(after: int) -> None:
    with pytest.raises(BadRequest, match=f"chunk 3 comes after chunk {after}"):
        check(CHUNK, after=after)


def test_chunk_over_the_budget_is_refused() -> None:
    with pytest.raises(BadRequest, match="over the context's 10"):
        check(CHUNK, max_tokens=10)


def test_tail_of_a_question_comes_back() -> None:
    chat = build_chat()

    assert check_question(QUESTION, chat, max_tokens=1000) == chat.tail([("user", "what?")])


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (replace(QUESTION, messages=()), "messages"),
        (replace(QUESTION, messages=(Message("robot", "x"),)), "messages"),
        (replace(QUESTION, messages=(Message("assistant", "x"),)), "messages"),
        (replace(QUESTION, messages=(Message("user", "x" * 900),)), "messages"),
        (replace(QUESTION, sampling=Sampling(max_tokens=990)), "messages"),
        (replace(QUESTION, sampling=Sampling(top_p=0.0)), "sampling"),
        (replace(QUESTION, window_s=0.0), "window_s"),
        (replace(QUESTION, window_s=float("nan")), "window_s"),
    ],
)
def test_question_that_cannot_be_answered_is_refused(question: Question, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_question(question, build_chat(), max_tokens=1000)

    assert caught.value.details["field"] == field
