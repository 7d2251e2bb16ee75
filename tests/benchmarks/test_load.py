from dataclasses import replace

import pytest

from benchmarks.load import Load

LOAD = Load(
    num_streams=2,
    span_s=4.0,
    lags_s=[0.1] * 98 + [1.9, 2.5],
    ttfts_s=[0.01],
    busy_s={"encode": 2.0, "append": 1.0},
)


def test_one_late_chunk_in_a_hundred_is_allowed() -> None:
    assert LOAD.lag_p99_s == 1.9
    assert LOAD.is_sustained
    assert not replace(LOAD, lags_s=[0.1] * 98 + [2.0, 2.5]).is_sustained


def test_backlog_that_is_still_short_is_not_sustained() -> None:
    overloaded = replace(LOAD, lags_s=[0.1] * 50, busy_s={"encode": 4.1})

    assert overloaded.busy_ratio == pytest.approx(1.025)
    assert not overloaded.is_sustained


def test_shares_add_up() -> None:
    assert LOAD.shares == pytest.approx({"encode": 2 / 3, "append": 1 / 3})
    assert LOAD.busy_ratio == 0.75
