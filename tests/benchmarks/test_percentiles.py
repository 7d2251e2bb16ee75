import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.percentiles import percentile


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=300), st.sampled_from([0.01, 0.5, 0.99, 1.0])
)
def test_percentile_is_numpys_inverted_distribution(values: list[float], share: float) -> None:
    assert percentile(values, share) == np.quantile(values, share, method="inverted_cdf")


@pytest.mark.parametrize(("num_values", "p99"), [(1, 1), (20, 20), (99, 99), (100, 99), (200, 198)])
def test_p99_of_few_is_the_largest(num_values: int, p99: int) -> None:
    assert percentile(range(num_values, 0, -1), 0.99) == p99
