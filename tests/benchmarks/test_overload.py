import pytest

from benchmarks.crowd import Visits
from benchmarks.overload import Phase


def test_phase_tells_what_was_served() -> None:
    visits = Visits(session_ids=["a", "b"], num_refused=7)
    phase = Phase("overload", 6, visits, [0.1 * k for k in range(1, 21)], 1, 0.75)

    assert phase.lag_p95_s == pytest.approx(1.9)
    told = phase.as_json()
    assert told["overload_offered"] == 6
    assert told["overload_admitted"] == 2
    assert told["overload_refusals"] == 7
    assert told["overload_dropped"] == 1
    assert told["overload_lag_p50_s"] == 1.0
    for part in ("overload", "6", "2", "7", "20", "1.90 s", "75%"):
        assert part in phase.as_row()
