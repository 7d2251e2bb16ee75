from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks.chunks import ChunkShape
from benchmarks.engines import build_scheduler
from benchmarks.live_device import STAGES, LiveDevice, Pipeline
from compressor.config import CompressorConfig
from compressor.pipeline import TokenCompressor
from service.llm.config import EngineConfig
from service.llm.policy import Fifo
from service.llm.scheduler import Scheduler
from service.sessions.record import SessionId
from tests.benchmarks.small import SMALL

SHAPE = ChunkShape(4)
CONTEXT_CHUNKS = 3
NUM_STREAMS = 5


@pytest.fixture
def scheduler() -> Scheduler:
    config = EngineConfig(
        policy=Fifo(),
        num_pages=300,
        context_tokens=CONTEXT_CHUNKS * SHAPE.num_tokens,
        step_tokens=64,
    )
    return build_scheduler(SMALL, SMALL.text_model(), config)


@pytest.fixture
def pipeline(scheduler: Scheduler) -> Iterator[Pipeline]:
    ratios = SHAPE.video_keep_ratio, SHAPE.audio_keep_ratio
    yield Pipeline(
        SMALL.encoder(),
        TokenCompressor(CompressorConfig(SMALL.hidden_size, *ratios)),
        scheduler,
        SHAPE,
        torch.device("cpu"),
        max_batch_chunks=4,
        max_wait_s=0.3,
        context_chunks=CONTEXT_CHUNKS,
        answer_tokens=6,
    )
    scheduler.check_integrity()


@pytest.fixture
def device(pipeline: Pipeline) -> LiveDevice:
    return LiveDevice(pipeline)


def test_every_chunk_and_question_is_served(device: LiveDevice, scheduler: Scheduler) -> None:
    load = device.run(NUM_STREAMS, num_periods=6)

    assert len(load.lags_s) == NUM_STREAMS * 6
    assert len(load.ttfts_s) == 2  # of 5 streams in 12 s
    assert min(load.lags_s + load.ttfts_s) > 0
    assert set(load.busy_s) == set(STAGES)
    assert all(busy_s > 0 for busy_s in load.busy_s.values())
    assert scheduler.stats().decode_tokens == 2 * 5
    for number in range(NUM_STREAMS):
        assert scheduler.held(SessionId(f"stream {number}")) == [6, 7, 8]


def test_chunk_waits_for_company_until_the_batch_is_full(pipeline: Pipeline) -> None:
    device = LiveDevice(replace(pipeline, max_wait_s=20.0))

    alone = device.run(1, num_periods=2)
    crowd = device.run(12, num_periods=1)

    assert min(alone.lags_s) >= 20.0
    assert max(crowd.lags_s) < 20.0


def test_streams_go_on_where_the_run_before_left_them(
    device: LiveDevice, scheduler: Scheduler
) -> None:
    device.run(2, num_periods=1)
    device.run(3, num_periods=2)

    newest = [scheduler.held(SessionId(f"stream {number}"))[-1] for number in range(3)]
    assert newest == [5, 5, 4]
    assert scheduler.stats().sessions == 3
