import torch

from benchmarks.hardware import Hardware, measure_hardware


def test_better_rates_of_two_measurements_count() -> None:
    busy, idle = Hardware("cpu", 10.0, 30.0), Hardware("cpu", 20.0, 25.0)

    assert busy.or_better(idle) == idle.or_better(busy) == Hardware("cpu", 20.0, 30.0)


def test_this_machine_is_measured() -> None:
    hardware = measure_hardware(torch.device("cpu"), torch.float32)

    assert "threads" in hardware.name
    assert hardware.bytes_per_s > 0
    assert hardware.flops > 0
