import pytest

from service.scaling.demand import Demand, Target, demand

TARGETS = (Target("sessions", 12.0), Target("busy", 0.6))


def test_load_within_one_replicas_targets_asks_for_less_than_one() -> None:
    reports = {"sessions": {"a": 6.0}, "busy": {"a": 0.15}}
    assert demand(reports, TARGETS) == Demand(0.5, "sessions")


def test_the_scarcest_resource_counts() -> None:
    reports = {"sessions": {"a": 6.0, "b": 6.0}, "busy": {"a": 0.9, "b": 0.9}}
    assert demand(reports, TARGETS) == Demand(pytest.approx(3.0), "busy")


def test_load_is_that_of_all_replicas_together() -> None:
    reports = {"sessions": {"a": 24.0, "b": 0.0, "c": 12.0}}
    assert demand(reports, TARGETS).replicas == 3.0


@pytest.mark.parametrize("reports", [{}, {"sessions": {}}, {"other": {"a": 100.0}}])
def test_what_nobody_reports_asks_for_nothing(reports) -> None:
    assert demand(reports, TARGETS) == Demand(0.0)


def test_a_target_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"busy: 0.0 per replica must be above 0"):
        Target("busy", 0.0)
