from collections import Counter

import pytest

from benchmarks.arrivals import arrivals


@pytest.mark.parametrize(("num_streams", "num_periods"), [(1, 15), (7, 3), (60, 2)])
def test_every_stream_completes_a_chunk_every_two_seconds(
    num_streams: int, num_periods: int
) -> None:
    chunks = [one for one in arrivals(num_streams, num_periods) if not one.is_question]

    for stream in range(num_streams):
        times_s = [one.at_s for one in chunks if one.stream == stream]
        assert times_s == pytest.approx([times_s[0] + 2 * k for k in range(num_periods)])
    assert len(chunks) == num_streams * num_periods


def test_chunks_are_spread_over_the_period() -> None:
    times_s = [one.at_s for one in arrivals(8, 2) if not one.is_question]

    assert times_s == pytest.approx([0.25 * number for number in range(16)])


def test_streams_ask_twice_a_minute_in_turn() -> None:
    asked = [one for one in arrivals(6, 30) if one.is_question]

    assert Counter(one.stream for one in asked) == dict.fromkeys(range(6), 2)
    assert [one.at_s for one in asked] == pytest.approx([2.5 + 5 * k for k in range(12)])


def test_all_is_in_order_of_time() -> None:
    listed = arrivals(9, 4)

    assert [one.at_s for one in listed] == sorted(one.at_s for one in listed)
    assert any(one.is_question for one in listed)
    assert max(one.at_s for one in listed) < 8.0
