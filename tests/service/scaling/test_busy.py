import pytest

from service.scaling.busy import BusyRatio


def test_the_first_reading_says_nothing() -> None:
    assert BusyRatio().read(100.0, 5.0) == 0.0


def test_the_share_is_of_the_time_since_the_reading_before() -> None:
    busy = BusyRatio(window_s=2.0)
    busy.read(10.0, 0.0)
    assert busy.read(11.0, 4.0) == pytest.approx(0.25)
    assert busy.read(15.0, 8.0) == pytest.approx(1.0)


def test_readings_in_quick_succession_do_not_make_it_jump() -> None:
    busy = BusyRatio(window_s=2.0)
    busy.read(0.0, 0.0)
    busy.read(1.0, 2.0)
    assert busy.read(1.1, 2.1) == pytest.approx(0.5)


def test_a_reading_that_went_back_counts_as_no_work() -> None:
    busy = BusyRatio(window_s=1.0)
    busy.read(10.0, 0.0)
    assert busy.read(0.5, 1.0) == 0.0
