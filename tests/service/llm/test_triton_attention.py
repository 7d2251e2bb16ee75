"""The kernels in Triton's interpreter, against softmax over each token's keys and gathering."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.llm.gather_attention import GatherAttention
from service.llm.pages import PagePool
from service.llm.triton_attention import Launch, TritonBody, launch_of, padded_dim
from tests.service.llm.interpreted import interpreted_kernels
from tests.service.llm.spans import Size, make_inputs, make_spans, plain_attention

LAYER = 1
MIXED = [(0, 5), (31, 1), (16, 17), (300, 1), (15, 2), (0, 1)]


@pytest.fixture(autouse=True, scope="module")
def _interpreted() -> Iterator[None]:
    with interpreted_kernels():
        yield


def make_pool(
    *,
    num_kv_heads: int = 2,
    head_dim: int = 32,
    page_tokens: int = 16,
    dtype: torch.dtype = torch.float32,
) -> PagePool:
    return PagePool(
        num_layers=2,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        num_pages=20 + 3000 // page_tokens,
        page_tokens=page_tokens,
        dtype=dtype,
    )


def largest_error(
    pool: PagePool, sizes: list[Size], forks: list[int], *, group: int = 3, num_programs: int = 1
) -> float:
    """The body's difference to softmax over keys in float64, with everything written."""
    spans = make_spans(pool, sizes, forks)
    num_heads = group * pool.keys.shape[3]
    query, key, value = make_inputs(pool, spans, num_heads)
    scale = pool.keys.shape[4] ** -0.5

    body = TritonBody(num_heads, num_programs)
    found = body(pool, spans).attend(LAYER, query, key, value, scale)

    assert found.dtype == query.dtype
    expected = plain_attention(pool, spans, LAYER, query, scale)
    return float((found.double() - expected).abs().max())


@pytest.mark.parametrize("num_programs", [1, 1000], ids=["whole", "split"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float16, 4e-3), (torch.bfloat16, 3e-2)],
    ids=str,
)
def test_mixed_forward_equals_softmax(
    dtype: torch.dtype, tolerance: float, num_programs: int
) -> None:
    torch.manual_seed(0)
    pool = make_pool(dtype=dtype)

    error = largest_error(pool, MIXED, [], num_programs=num_programs)

    assert error < tolerance


@given(
    sizes=st.lists(
        st.tuples(st.integers(0, 140), st.sampled_from([1, 1, 2, 5, 33])), min_size=1, max_size=3
    ),
    forks=st.lists(st.integers(0, 9), max_size=3),
    page_tokens=st.integers(1, 33),
    group=st.sampled_from([1, 2, 7]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=15, deadline=None)
def test_random_mixes_equal_softmax(
    sizes: list[Size], forks: list[int], page_tokens: int, group: int, seed: int
) -> None:
    torch.manual_seed(seed)
    pool = make_pool(page_tokens=page_tokens, num_kv_heads=1, head_dim=16)

    assert largest_error(pool, sizes, forks, group=group) < 1e-5


@pytest.mark.parametrize(("head_dim", "group"), [(16, 2), (48, 1), (64, 4), (80, 1), (128, 7)])
def test_head_sizes(head_dim: int, group: int) -> None:
    torch.manual_seed(0)
    pool = make_pool(head_dim=head_dim, num_kv_heads=1 if group == 7 else 3)

    assert largest_error(pool, [(7, 10), (20, 1)], [], group=group) < 1e-5


@pytest.mark.parametrize("length", [15, 16, 17, 63, 64, 65, 255, 256, 257])
def test_lengths_around_the_edges_of_pages_and_blocks(length: int) -> None:
    torch.manual_seed(0)

    assert largest_error(make_pool(num_kv_heads=1), [(length, 1), (length - 1, 2)], []) < 1e-5


@pytest.mark.parametrize("num_programs", [1, 1000], ids=["whole", "split"])
def test_forks_read_what_they_share_together(num_programs: int) -> None:
    torch.manual_seed(0)
    pool = make_pool(num_kv_heads=1)

    error = largest_error(pool, [(520, 1), (9, 3)], [0, 1, 16, 40], num_programs=num_programs)

    assert error < 1e-5


def test_equals_gathering_and_writes_the_same() -> None:
    torch.manual_seed(0)
    pool = make_pool()
    spans = make_spans(pool, MIXED, [])
    query, key, value = make_inputs(pool, spans, 4)
    # as the model's layers give them: rows first, heads behind
    query, key, value = (
        x.transpose(0, 1).contiguous().transpose(0, 1) for x in (query, key, value)
    )
    before = pool.keys.clone(), pool.values.clone()
    expected = GatherAttention(pool, spans).attend(LAYER, query, key, value, 0.3)
    written = pool.keys.clone(), pool.values.clone()
    pool.keys.copy_(before[0])
    pool.values.copy_(before[1])

    found = TritonBody(4, 8)(pool, spans).attend(LAYER, query, key, value, 0.3)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert torch.equal(pool.keys, written[0])
    assert torch.equal(pool.values, written[1])


def test_what_is_not_seen_may_be_anything() -> None:
    torch.manual_seed(0)
    pool = make_pool(num_kv_heads=1)
    spans = make_spans(pool, [(21, 1), (5, 3)])
    seen = {slot for span in spans for slot in span.sequence.slots(0, span.num_keys).tolist()}
    unseen = [slot for slot in range(pool.num_pages * 16) if slot not in seen]
    for store in (pool.keys, pool.values):
        store.flatten(1, 2)[:, unseen] = torch.nan
    query, key, value = make_inputs(pool, spans, 2)

    out = TritonBody(2, 1)(pool, spans).attend(LAYER, query, key, value, 0.3)

    assert out.isfinite().all()


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
def test_what_is_not_finite_shows_in_its_own_sequence_only() -> None:
    torch.manual_seed(0)
    pool = make_pool(num_kv_heads=1)
    spans = make_spans(pool, [(520, 1)], [3, 5])
    query, key, value = make_inputs(pool, spans, 2)
    query[:, 1] = torch.nan

    out = TritonBody(2, 1000)(pool, spans).attend(LAYER, query, key, value, 0.3)

    assert out.isfinite().flatten(1).all(1).tolist() == [True, False, True]


def test_heads_are_filled_up_to_a_product() -> None:
    assert [padded_dim(size) for size in (8, 16, 17, 32, 80, 128)] == [16, 16, 32, 32, 128, 128]


def test_float32_takes_smaller_blocks_and_wide_tiles_more_warps() -> None:
    assert launch_of(torch.bfloat16, 128, 16) == Launch(64, 4, 2)
    assert launch_of(torch.bfloat16, 128, 64) == Launch(64, 8, 2)
    assert launch_of(torch.float32, 128, 64) == Launch(32, 8, 2)
