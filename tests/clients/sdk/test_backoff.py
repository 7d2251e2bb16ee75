from hypothesis import given
from hypothesis import strategies as st

from clients.sdk.backoff import Backoff


def test_waits_double_up_to_the_limit_and_then_end() -> None:
    backoff = Backoff(first_s=1, max_s=5, max_attempts=4)

    waits = [backoff.wait_s(n, draw=lambda: 1.0) for n in range(1, 6)]

    assert waits == [1, 2, 4, 5, None]


@given(st.integers(1, 12), st.floats(0, 1, exclude_max=True))
def test_jitter_takes_away_at_most_half(attempt: int, drawn: float) -> None:
    longest_s = Backoff().wait_s(attempt, draw=lambda: 1.0)

    wait_s = Backoff().wait_s(attempt, draw=lambda: drawn)

    assert longest_s is not None
    assert wait_s is not None
    assert longest_s / 2 <= wait_s <= longest_s


def test_default_lasts_about_a_minute() -> None:
    waits = [Backoff().wait_s(n, draw=lambda: 1.0) or 0 for n in range(1, 13)]

    assert 45 <= sum(waits) <= 90
