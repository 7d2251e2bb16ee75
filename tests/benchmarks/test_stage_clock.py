import torch

from benchmarks.stage_clock import StageClock

CPU = torch.device("cpu")


def test_only_work_moves_the_clock() -> None:
    ticks = iter([10.0, 10.5, 70.0, 72.0])
    clock = StageClock(("encode", "append"), CPU, lambda: next(ticks))

    assert clock.run(lambda: "done") == ("done", 0.5)
    clock.charge("encode", 0.5)
    _, took_s = clock.run(lambda: None)
    clock.charge("append", took_s)

    assert clock.now_s == 2.5
    assert clock.busy_s == {"encode": 0.5, "append": 2.0}


def test_waiting_skips_ahead_and_never_back() -> None:
    clock = StageClock((), CPU, lambda: 0.0)

    clock.wait_until(3.0)
    clock.wait_until(1.0)

    assert clock.now_s == 3.0
