"""What the machine at hand can do at best: the floors that measurements are compared with."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from service.clock import Clock

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Hardware:
    """A device and its measured peaks.

    Attributes:
        name: Of the processor, with the number of threads on a CPU.
        bytes_per_s: Reading memory.
        flops: Multiply-adds of a large matrix product, each counted as two.
    """

    name: str
    bytes_per_s: float
    flops: float

    def or_better(self, other: "Hardware") -> "Hardware":
        """Take the better rates of two measurements: a floor must not rise with a busy moment."""
        bytes_per_s = max(self.bytes_per_s, other.bytes_per_s)
        return replace(self, bytes_per_s=bytes_per_s, flops=max(self.flops, other.flops))


def measure_hardware(device: torch.device, dtype: torch.dtype) -> Hardware:
    """Measure the peaks of a device; takes about a second."""
    is_cpu = device.type == "cpu"
    block = torch.ones(
        (1 << 26 if is_cpu else 1 << 30) // dtype.itemsize, dtype=dtype, device=device
    )
    size = 1024 if is_cpu else 8192
    factor = torch.ones(size, size, dtype=dtype, device=device)
    read_s = median_s(lambda: block.sum(), device)
    product_s = median_s(lambda: factor @ factor, device)
    return Hardware(
        name=_cpu_name() if is_cpu else torch.cuda.get_device_name(device),
        bytes_per_s=block.nbytes / read_s,
        flops=2 * size**3 / product_s,
    )


def median_s(call: Callable[[], object], device: torch.device, *, num_runs: int = 9) -> float:
    """Median time of a call, the first two runs left out; waits for the device."""
    times_s, timer = [], timer_of(device)
    for _ in range(num_runs + 2):
        synchronize(device)
        began_s = timer()
        call()
        synchronize(device)
        times_s.append(timer() - began_s)
    return statistics.median(times_s[2:])


def timer_of(device: torch.device) -> Clock:
    """Choose what tells how long a device works.

    On a CPU with one thread of torch it is the processor's own time for this process, so that other
    work on the machine counts as little as can be.
    """
    if device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time
    return time.perf_counter


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _cpu_name() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in (CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else [])
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


__all__ = ["Hardware", "measure_hardware", "median_s", "synchronize", "timer_of"]
