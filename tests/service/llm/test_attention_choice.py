"""Choosing a body, and the proof that it must give; what depends on a GPU is in tests/gpu."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from service.llm import attention_choice
from service.llm.attention import AttentionBody, PagedAttention, Span
from service.llm.attention_choice import choose_attention, prove
from service.llm.gather_attention import GatherAttention
from service.llm.pages import PagePool
from tests.service.llm.thinker import build_pool

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)


def make_pool(dtype: torch.dtype = torch.float32, page_tokens: int = 16) -> PagePool:
    return PagePool(
        num_layers=1,
        num_kv_heads=2,
        head_dim=64,
        num_pages=1,
        page_tokens=page_tokens,
        dtype=dtype,
    )


@dataclass
class Wrong:
    """Gathering, but one sequence's newest token is not looked at."""

    row: int

    def __call__(self, pool: PagePool, spans: Sequence[Span]) -> PagedAttention:
        true = GatherAttention(pool, spans)
        short = list(spans)
        span = short[self.row]
        end = span.sequence.length - 1
        short[self.row] = replace(span, sequence=span.sequence.fork(end))
        return _Both(true, short, pool)


@dataclass
class _Both:
    true: PagedAttention
    short: list[Span]
    pool: PagePool

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        self.true.attend(layer, query, key, value, scale)
        for span in self.short:
            span.sequence.reserve(span.num_tokens)
        return GatherAttention(self.pool, self.short).attend(layer, query, key, value, scale)


class Blank:
    """Writes nothing, returns zeros."""

    def __init__(self, pool: PagePool, spans: Sequence[Span]) -> None:
        pass

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        return torch.zeros_like(query.transpose(0, 1))


def use(monkeypatch: pytest.MonkeyPatch, body: AttentionBody) -> None:
    monkeypatch.setattr(attention_choice, "triton_body", lambda _: body)


@DTYPES
@pytest.mark.parametrize("page_tokens", [1, 16, 48])
def test_gathering_proves_itself(dtype: torch.dtype, page_tokens: int) -> None:
    prove(GatherAttention, make_pool(dtype, page_tokens), num_heads=6)


@DTYPES
def test_one_key_amiss_is_found(dtype: torch.dtype) -> None:
    with pytest.raises(ArithmeticError, match="differ by"):
        prove(Wrong(row=2), make_pool(dtype), num_heads=6)


def test_proof_needs_nothing_of_the_pool_and_draws_no_random_numbers() -> None:
    pool = make_pool()
    before, state = pool.num_free, torch.get_rng_state()

    prove(GatherAttention, pool, num_heads=6)

    assert pool.num_free == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not pool.keys.any()


@pytest.mark.parametrize("name", ["auto", "gather"])
def test_processor_gathers(name: attention_choice.AttentionName) -> None:
    assert choose_attention(name, build_pool(), 4) is GatherAttention


def test_triton_on_a_processor_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"OMNISIFT_LLM__ATTENTION=auto"):
        choose_attention("triton", build_pool(), 4)


@pytest.fixture
def pool_on_cuda(monkeypatch: pytest.MonkeyPatch) -> PagePool:
    """Looks like one on a CUDA device, while the proof is given on this one."""
    real_trial = attention_choice._trial_pool
    monkeypatch.setattr(attention_choice, "_trial_pool", lambda _: real_trial(make_pool()))
    pool = make_pool()
    pool.keys = pool.keys.to("meta")
    monkeypatch.setattr(attention_choice, "CUDA", "meta")
    return pool


def test_body_that_proves_itself_is_taken(
    pool_on_cuda: PagePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(pool: PagePool, spans: Sequence[Span]) -> PagedAttention:
        return GatherAttention(pool, spans)

    use(monkeypatch, body)

    assert choose_attention("auto", pool_on_cuda, 6) is body
    assert choose_attention("triton", pool_on_cuda, 6) is body
    assert choose_attention("gather", pool_on_cuda, 6) is GatherAttention


def test_body_that_is_wrong_is_left_with_a_warning(
    pool_on_cuda: PagePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, Blank)

    assert choose_attention("auto", pool_on_cuda, 6) is GatherAttention
    assert "differ by" in caplog.text
    with pytest.raises(ValueError, match=r"differ by.*OMNISIFT_LLM__ATTENTION=gather"):
        choose_attention("triton", pool_on_cuda, 6)


def test_kernels_that_cannot_be_built_are_left_with_a_warning(
    pool_on_cuda: PagePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def body(pool: PagePool, spans: Sequence[Span]) -> PagedAttention:
        raise RuntimeError("no C compiler")

    use(monkeypatch, body)

    assert choose_attention("auto", pool_on_cuda, 6) is GatherAttention
    assert "no C compiler" in caplog.text
