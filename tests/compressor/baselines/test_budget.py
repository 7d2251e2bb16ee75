import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.baselines.budget import (
    NEW_SALIENCY,
    audio_budget,
    grid_budgets,
    keep_new_first,
    share,
)
from compressor.config import CompressorConfig
from tests.tensors import make_token_chunk

CONFIG = CompressorConfig.from_profile("paper-25", hidden_size=24)


def test_budgets_follow_the_rounding_rule() -> None:
    chunk = make_token_chunk(grid_sizes=(320, 299), num_audio=51)

    assert grid_budgets(chunk, CONFIG) == [74, 69]
    assert audio_budget(chunk, CONFIG) == 26


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 50)), min_size=1, max_size=5), st.data()
)
def test_share_gives_all_and_respects_limits(
    places: list[tuple[float, int]], data: st.DataObject
) -> None:
    weights, limits = [weight for weight, _ in places], [limit for _, limit in places]
    total = data.draw(st.integers(0, sum(limits)))

    counts = share(total, weights, limits)

    assert sum(counts) == total
    assert all(count <= limit for count, limit in zip(counts, limits, strict=True))


@pytest.mark.parametrize(
    ("total", "weights", "limits", "expected"),
    [
        (148, [1.0, 0.3], [320, 320], [114, 34]),
        (100, [1.0, 1.0], [100, 100], [50, 50]),
        (100, [1.0, 1.0], [30, 100], [30, 70]),
        (1, [1.0, 1.0], [1, 1], [1, 0]),
    ],
)
def test_share_is_proportional(
    total: int, weights: list[float], limits: list[int], expected: list[int]
) -> None:
    assert share(total, weights, limits) == expected


def test_new_tokens_are_kept_before_changed_ones() -> None:
    saliency = torch.tensor([0.5, NEW_SALIENCY, 1.9, NEW_SALIENCY, 0.1])

    assert keep_new_first(saliency, 3).tolist() == [1, 2, 3]
    assert keep_new_first(saliency, 2).tolist() == [1, 3]


def test_too_many_new_tokens_are_thinned_evenly() -> None:
    saliency = torch.full((12,), NEW_SALIENCY)

    assert keep_new_first(saliency, 3).tolist() == [2, 6, 10]
