import time

import pytest
import torch

from benchmarks.hardware import Hardware, measure_hardware, timer_of

CPU = torch.device("cpu")


def test_better_rates_of_two_measurements_count() -> None:
    busy, idle = Hardware("cpu", 10.0, 30.0), Hardware("cpu", 20.0, 25.0)

    assert busy.or_better(idle) == idle.or_better(busy) == Hardware("cpu", 20.0, 30.0)


def test_this_machine_is_measured() -> None:
    hardware = measure_hardware(CPU, torch.float32)

    assert "threads" in hardware.name
    assert hardware.bytes_per_s > 0
    assert hardware.flops > 0


@pytest.mark.parametrize(("num_threads", "timer"), [(1, time.process_time), (2, time.perf_counter)])
def test_processor_time_counts_where_one_thread_works(num_threads: int, timer: object) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        assert timer_of(CPU) is timer
        assert timer_of(torch.device("cuda")) is time.perf_counter
    finally:
        torch.set_num_threads(before)
