"""Percentiles of few measurements. Pure."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them does not exceed.

    Args:
        values: At least one.
        share: In (0, 1]; 0.99 for p99. Of fewer than 100 values p99 is the largest.
    """
    # rounded, since 0.07 * 100 is a little more than 7
    rank = math.ceil(round(share * len(values), 9))
    return sorted(values)[rank - 1]


__all__ = ["percentile"]
