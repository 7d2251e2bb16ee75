from benchmarks.stock import Stock
from tests.benchmarks.small import SMALL


def test_every_token_is_timed() -> None:
    stock = Stock(SMALL, num_runs=2)

    times_s = stock._token_times_s(num_tokens=20, num_new=5, batch=3)

    assert len(times_s) == 5
    assert times_s == sorted(times_s)
    assert times_s[0] > 0
    assert stock.ttft_s(20) > 0
    assert stock.decode_tokens_per_s(20, batch=3, num_new=5) > 0
