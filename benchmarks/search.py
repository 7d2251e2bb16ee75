"""The largest number that passes a test. Pure; knows nothing about what is tested."""

from collections.abc import Callable


def largest(
    passes: Callable[[int], bool],
    *,
    start: int,
    limit: int,
    growth: float = 2.0,
    tolerance: float = 0.0,
) -> int:
    """Find the largest number from 0 to `limit` that passes, by galloping, then bisecting.

    Every number below one that passes is taken to pass, and every one above one that fails to
    fail. 0 passes untested.

    Args:
        passes: The test; called at most once per number.
        start: Tested first, 1 to `limit`.
        limit: Not exceeded.
        growth: Factor from one number to the next until two of them enclose the answer, above 1.
        tolerance: The answer may be too small by this share of it.

    Returns:
        A number that passed, or 0.
    """
    low, high = 0, limit + 1
    number = start
    while high - low > max(1, int(tolerance * low)):
        if passes(number):
            low = number
        else:
            high = number
        if high > limit:
            number = min(max(int(low * growth), low + 1), limit)
        elif low == 0:
            number = max(int(high / growth), 1)
        else:
            number = (low + high) // 2
    return low


__all__ = ["largest"]
