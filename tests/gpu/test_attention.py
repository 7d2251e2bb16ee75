"""Attention by Triton on CUDA: equal to softmax over each token's keys, in any mix."""

import pytest
import torch

from service.llm.attention import Span
from service.llm.attention_choice import choose_attention, prove, triton_body
from service.llm.pages import PagePool
from tests.service.llm.spans import Size, make_inputs, make_spans, plain_attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TOLERANCES = [(torch.float32, 1e-5), (torch.float16, 4e-3), (torch.bfloat16, 3e-2)]
OMNI_7B, EMBEDDED = (28, 4, 128), (6, 2, 32)  # query heads, key heads, head dimension
MIXES: list[tuple[list[Size], list[int]]] = [
    ([(0, 5), (31, 1), (16, 17), (300, 1), (15, 2), (0, 1)], []),
    ([(3000, 1), (9, 700)], []),
    ([(2600, 1), (0, 64)], [0, 1, 16, 40, 41, 42, 43, 44, 45, 46, 47]),
    ([(length, 1) for length in (1, 15, 16, 17, 63, 64, 65, 255, 256, 257)], []),
]


def make_pool(sizes: tuple[int, int, int], dtype: torch.dtype, page_tokens: int = 16) -> PagePool:
    _, num_kv_heads, head_dim = sizes
    return PagePool(
        num_layers=2,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        num_pages=60 + 6000 // page_tokens,
        page_tokens=page_tokens,
        dtype=dtype,
        device="cuda",
    )


def largest_error(pool: PagePool, spans: list[Span], num_heads: int) -> float:
    query, key, value = make_inputs(pool, spans, num_heads)
    scale = pool.keys.shape[4] ** -0.5
    found = triton_body(num_heads)(pool, spans).attend(1, query, key, value, scale)
    expected = plain_attention(pool, spans, 1, query, scale)
    return float((found.cpu().double() - expected).abs().max())


@pytest.mark.parametrize("sizes", [OMNI_7B, EMBEDDED], ids=["7b", "embedded"])
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES, ids=str)
@pytest.mark.parametrize("mix", MIXES, ids=["mixed", "long", "forks", "edges"])
def test_equals_softmax(
    sizes: tuple[int, int, int],
    dtype: torch.dtype,
    tolerance: float,
    mix: tuple[list[Size], list[int]],
) -> None:
    torch.manual_seed(0)
    pool = make_pool(sizes, dtype)

    assert largest_error(pool, make_spans(pool, *mix), sizes[0]) < tolerance


@pytest.mark.parametrize("page_tokens", [1, 7, 64])
def test_pages_of_any_size(page_tokens: int) -> None:
    torch.manual_seed(0)
    pool = make_pool(EMBEDDED, torch.float32, page_tokens)

    assert largest_error(pool, make_spans(pool, [(200, 1), (30, 33)], [3]), EMBEDDED[0]) < 1e-5


@pytest.mark.parametrize(("dtype", "_"), TOLERANCES, ids=str)
def test_proves_itself_and_is_chosen(dtype: torch.dtype, _: float) -> None:
    pool = make_pool(OMNI_7B, dtype)
    body = triton_body(OMNI_7B[0])

    prove(body, pool, OMNI_7B[0])

    assert choose_attention("auto", pool, OMNI_7B[0]) == body
