from benchmarks.fleet.trace import diurnal, flash_crowd, ramp, replica_loss


def num_there(trace, at_s):
    return sum(visit.at_s <= at_s < visit.at_s + visit.lasts_s for visit in trace.visits)


def test_ramp_climbs_evenly_and_falls_again() -> None:
    trace = ramp(100, over_s=1000.0)
    assert [num_there(trace, at_s) for at_s in (95, 495, 995)] == [10, 50, 100]
    assert num_there(trace, 2999.0) < 20


def test_crowd_comes_within_a_minute() -> None:
    trace = flash_crowd(100, share_before=0.2)
    assert num_there(trace, 1799.0) == 20
    assert num_there(trace, 1861.0) == 100


def test_day_has_its_peak_at_noon_and_its_low_at_night() -> None:
    trace = diurnal(200)
    noon, night = num_there(trace, 12 * 3600.0), num_there(trace, 23.5 * 3600.0)
    assert 150 < noon < 250
    assert night < 50


def test_losses_hit_one_stage_after_another() -> None:
    trace = replica_loss(10, ["A", "B"], every_s=60.0)
    assert [loss.stage for loss in trace.losses] == ["A", "B"]
    assert trace.losses[1].at_s - trace.losses[0].at_s == 60.0


def test_equal_seeds_give_equal_traces() -> None:
    assert diurnal(50, seed=3) == diurnal(50, seed=3)
    assert diurnal(50, seed=3) != diurnal(50, seed=4)
