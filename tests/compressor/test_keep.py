from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.keep import (
    evenly_spaced,
    keep_top,
    keep_within,
    num_kept,
    rank,
    straight_through,
    take,
)


def reference_keep(scores: list[float], num_keep: int) -> list[int]:
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return sorted(order[:num_keep])


@pytest.mark.parametrize(
    ("num_tokens", "keep_ratio", "expected"),
    [
        (320, 0.33, 106),  # 212 video tokens per chunk
        (320, 0.23, 74),
        (299, 0.23, 69),
        (50, 0.60, 30),
        (50, 0.50, 25),
        (51, 0.50, 26),
        (100, 0.33, 33),  # 1 - 0.33 is 0.6699999999999999, which would keep 34
        (1, 0.01, 1),
        (0, 0.5, 0),
        (7, 1.0, 7),
    ],
)
def test_kept_count_is_the_official_one(num_tokens: int, keep_ratio: float, expected: int) -> None:
    assert num_kept(num_tokens, keep_ratio) == expected


@given(st.integers(0, 2000), st.integers(1, 100))
def test_kept_count_equals_the_official_rule_for_percentages(num_tokens: int, percent: int) -> None:
    removed_ratio = float(Fraction(100 - percent, 100))

    kept = num_kept(num_tokens, percent / 100)

    assert kept == num_tokens - int(num_tokens * removed_ratio)
    assert min(num_tokens, 1) <= kept <= num_tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_kept_tokens_equal_the_reference(seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(4, 50, generator=generator).to(dtype)

    for num_keep in (0, 1, 17, 50):
        kept = keep_top(scores, num_keep)

        assert kept.tolist() == [reference_keep(row, num_keep) for row in scores.tolist()]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_ties_go_to_the_earlier_token(levels: list[int], data: st.DataObject) -> None:
    num_keep = data.draw(st.integers(0, len(levels)))
    scores = torch.tensor([levels], dtype=torch.float32)

    assert keep_top(scores, num_keep).tolist() == [reference_keep(levels, num_keep)]


@given(st.permutations(range(12)))
def test_permuting_the_scores_permutes_the_kept_tokens(order: list[int]) -> None:
    scores = torch.arange(12.0).mul(0.77).sin().unsqueeze(0)

    kept = keep_top(scores, 5)[0].tolist()
    permuted = keep_top(scores[:, order], 5)[0].tolist()

    assert {order[index] for index in permuted} == set(kept)


@pytest.mark.parametrize("num_keep", [-1, 4])
def test_count_out_of_range_is_refused(num_keep: int) -> None:
    with pytest.raises(ValueError, match=f"cannot keep {num_keep} of 3"):
        keep_top(torch.zeros(1, 3), num_keep)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_of_the_tokens_within_budget_the_counted_best_are_marked(
    levels: list[int], data: st.DataObject
) -> None:
    budget = data.draw(st.integers(0, len(levels)))
    count = data.draw(st.integers(0, budget))
    scores = torch.tensor([levels, levels], dtype=torch.float32)

    index, is_kept = keep_within(scores, budget, torch.tensor([count, budget]))

    assert index.tolist() == [reference_keep(levels, budget)] * 2
    assert index[0][is_kept[0]].tolist() == reference_keep(levels, count)
    assert bool(is_kept[1].all())


@given(st.integers(1, 400), st.data())
def test_evenly_spaced_tokens_leave_no_long_gap(num_tokens: int, data: st.DataObject) -> None:
    num_keep = data.draw(st.integers(1, num_tokens))

    index = evenly_spaced(num_tokens, num_keep).tolist()

    assert len(set(index)) == num_keep
    assert index == sorted(index)
    assert index[0] >= 0
    assert index[-1] < num_tokens
    gaps = [b - a for a, b in zip([-1, *index], [*index, num_tokens], strict=True)]
    assert max(gaps) <= num_tokens / num_keep + 1


def test_evenly_spaced_takes_the_middles_of_equal_parts() -> None:
    assert evenly_spaced(12, 3).tolist() == [2, 6, 10]
    assert evenly_spaced(5, 5).tolist() == [0, 1, 2, 3, 4]
    assert evenly_spaced(5, 0).tolist() == []


@pytest.mark.parametrize(("phase", "expected"), [(0.0, [0, 4, 8]), (0.25, [1, 5, 9])])
def test_evenly_spaced_tokens_stand_where_the_phase_says(phase: float, expected: list[int]) -> None:
    assert evenly_spaced(12, 3, phase).tolist() == expected


def test_rank_orders_all() -> None:
    assert rank(torch.tensor([[0.1, 0.9, 0.5, 0.9]])).tolist() == [[1, 3, 2, 0]]


def test_take_copies_rows_of_any_rank() -> None:
    tokens = torch.arange(24.0).view(2, 4, 3)
    index = torch.tensor([[0, 3], [1, 2]])

    taken = take(tokens, index)
    taken_flat = take(tokens[..., 0], index)

    assert torch.equal(taken, torch.stack([tokens[0, [0, 3]], tokens[1, [1, 2]]]))
    assert torch.equal(taken_flat, taken[..., 0])
    assert taken.untyped_storage().data_ptr() != tokens.untyped_storage().data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_straight_through_leaves_values_alone(dtype: torch.dtype) -> None:
    embeddings = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    scores = torch.rand(2, 5, generator=torch.Generator().manual_seed(1))

    assert torch.equal(straight_through(embeddings, scores), embeddings)


def test_straight_through_gives_scores_the_gradient_of_a_mask() -> None:
    embeddings = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    scores = torch.tensor([[0.2, 0.5, 0.9]], requires_grad=True)
    weights = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1))

    (straight_through(embeddings, scores) * weights).sum().backward()

    torch.testing.assert_close(scores.grad, (embeddings * weights).sum(dim=-1))
