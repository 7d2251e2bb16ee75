import pytest

from benchmarks.ingest import measure

pytestmark = [pytest.mark.redis, pytest.mark.webrtc]


def test_a_stream_takes_processor_time_and_gives_chunks() -> None:
    core_ratio, num_chunks = measure(1, 2.5, (64, 48), 5.0, settle_s=0.2)
    assert 0 < core_ratio < 1
    assert num_chunks >= 1
