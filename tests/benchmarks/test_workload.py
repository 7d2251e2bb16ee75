import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.hardware import Hardware
from benchmarks.workload import Work, Workload, embedded, in_dtype, seven_b
from compressor.pipeline import TokenCompressor

WORKLOADS = pytest.mark.parametrize(
    "workload", [embedded(), seven_b(torch.bfloat16)], ids=lambda workload: workload.name
)


@WORKLOADS
def test_counts_and_work_are_the_compressors(workload: Workload) -> None:
    compressor = TokenCompressor(workload.config)
    chunk = in_dtype(workload.chunks(1, torch.device("cpu"))[0], workload.dtype)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        result, _ = compressor.compress(chunk)

    assert workload.work.flops == counter.get_total_flops()
    assert chunk.num_tokens == workload.num_tokens
    assert result.counts_kept.video == workload.kept_video
    assert result.counts_in.total - result.counts_kept.total == workload.num_dropped
    touched = (chunk.num_tokens + result.counts_kept.total) * workload.hidden_size
    assert workload.work.num_bytes == touched * workload.dtype.itemsize


def test_chunks_are_the_same_everywhere_and_differ() -> None:
    first, second = embedded().chunks(2, torch.device("cpu"))
    again = embedded().chunks(1, torch.device("cpu"))[0]

    assert torch.equal(first.audio, again.audio)
    assert not torch.equal(first.audio, second.audio)
    assert second.start_s == 2.0


def test_floor_is_the_larger_of_arithmetic_and_bytes() -> None:
    hardware = Hardware("made up", bytes_per_s=100.0, flops=1000.0)

    assert Work(flops=500.0, num_bytes=10.0).floor_s(hardware) == 0.5
    assert Work(flops=500.0, num_bytes=80.0).floor_s(hardware) == 0.8
