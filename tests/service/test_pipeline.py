import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import torch

from service.errors import BadRequest, EngineUnavailable, SessionEnded, StoreUnavailable
from service.events import Event
from service.media.chunk import Gap, MediaChunk
from service.metrics import Metrics
from service.pipeline import PipelineConfig, SessionPipeline, Stages
from service.retry import RetryConfig
from service.sessions.record import SessionConfig, SessionId
from service.sessions.redis_store import RedisSessionStore
from tests.fakes import FakeCompressor, FakeEncoder, FakeLLM

SESSION = SessionId("s")
STARTED_AT_S = 1000.0
QUICK = RetryConfig(attempt_s=1.0, deadline_s=0.2, first_backoff_s=0.01, max_backoff_s=0.02)
GRID = torch.zeros(2, 3, 28, 28, dtype=torch.uint8)


def make_chunk(index: int, **fields: object) -> MediaChunk:
    return MediaChunk(index, (GRID, GRID), torch.zeros(128, 200), **fields)  # type: ignore[arg-type]  # any field


class Harness:
    """A pipeline over fakes, its clock in hand."""

    def __init__(self, store: RedisSessionStore, session_id: SessionId = SESSION) -> None:
        self.store = store
        self.session_id = session_id
        self.encoder, self.compressor, self.llm = FakeEncoder(), FakeCompressor(), FakeLLM()
        self.metrics = Metrics()
        self.now_s = STARTED_AT_S
        self.pipeline = self.make()

    def make(self) -> SessionPipeline:
        return SessionPipeline(
            self.session_id,
            Stages(self.encoder, self.compressor, self.llm),
            self.store,
            self.metrics,
            lambda: self.now_s,
            PipelineConfig(max_pending_chunks=2, retry=QUICK),
            started_at_s=STARTED_AT_S,
        )

    async def work(self, *chunks: MediaChunk) -> None:
        for chunk in chunks:
            self.pipeline.put(chunk)
        self.pipeline.finish()
        await asyncio.wait_for(self.pipeline.run(), timeout=10)

    async def events(self) -> list[Event]:
        found = await self.store.events(self.session_id, after=None, block_s=0)
        return [event for _, event in found]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"omnisift_{name}", labels) or 0.0


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_url)
    await store.create(SESSION, SessionConfig("full"), STARTED_AT_S)
    yield store
    await store.aclose()


@pytest.fixture
def harness(store: RedisSessionStore) -> Harness:
    return Harness(store)


async def test_chunks_reach_the_context_in_order(harness: Harness) -> None:
    await harness.work(make_chunk(0), make_chunk(1))

    assert harness.compressor.indices == {SESSION: [0, 1]}
    assert harness.llm.indices == {SESSION: [0, 1]}
    assert harness.count("chunks_total") == 2
    for stage in ("encode", "compress", "prefill"):
        assert harness.count("stage_duration_seconds_count", stage=stage) == 2


async def test_lag_runs_from_the_end_of_the_media_and_is_told(harness: Harness) -> None:
    harness.now_s = STARTED_AT_S + 8.5

    await harness.work(make_chunk(3))

    [event] = await harness.events()
    assert (event.type, event.at_s, event.data["index"]) == ("chunk", harness.now_s, 3)
    assert event.data["lag_s"] == pytest.approx(0.5)
    assert event.data["stages_s"] == {"encode": 0, "compress": 0, "prefill": 0}
    assert (await harness.store.get(SESSION)).lag_s == pytest.approx(0.5)
    assert harness.count("ingest_lag_seconds_sum") == pytest.approx(0.5)


async def test_lag_of_a_chunk_cut_short_is_not_negative(harness: Harness) -> None:
    await harness.work(make_chunk(0))

    assert (await harness.store.get(SESSION)).lag_s == 0.0


async def test_gaps_and_skew_are_counted(harness: Harness) -> None:
    gaps = (Gap("video", 0.0, 0.5), Gap("audio", 0.0, 0.1), Gap("video", 1.0, 1.0))

    await harness.work(make_chunk(0, gaps=gaps, skew_s=-0.03), make_chunk(1))

    assert harness.count("gaps_total", modality="video") == 2
    assert harness.count("gaps_total", modality="audio") == 1
    assert harness.count("av_skew_seconds_count") == 1
    assert harness.count("av_skew_seconds_bucket", le="-0.05") == 0
    assert harness.count("av_skew_seconds_bucket", le="-0.02") == 1


async def test_the_next_chunk_is_encoded_while_one_is_prefilled(harness: Harness) -> None:
    gate = harness.llm.script.gates[0] = asyncio.Event()
    harness.pipeline.put(make_chunk(0))
    harness.pipeline.put(make_chunk(1))
    harness.pipeline.finish()
    running = asyncio.create_task(harness.pipeline.run())

    await asyncio.wait_for(harness.llm.script.entered[0].wait(), timeout=5)
    await asyncio.wait_for(harness.encoder.script.entered[1].wait(), timeout=5)

    assert harness.llm.indices == {}
    gate.set()
    await asyncio.wait_for(running, timeout=5)
    assert harness.llm.indices == {SESSION: [0, 1]}


async def test_encoding_does_not_run_ahead_of_a_slow_stage(harness: Harness) -> None:
    gate = harness.llm.script.gates[0] = asyncio.Event()
    running = asyncio.create_task(harness.pipeline.run())
    for index in range(5):
        harness.pipeline.put(make_chunk(index))
        await asyncio.sleep(0.05)

    # one in prefill, one ready for it, one that waits to be
    assert [chunk.index for chunk in harness.encoder.chunks] == [0, 1, 2]
    assert harness.pipeline.num_pending == 2
    gate.set()
    harness.pipeline.finish()
    await asyncio.wait_for(running, timeout=10)
    assert harness.llm.indices == {SESSION: [0, 1, 2, 3, 4]}


async def test_a_stage_that_fails_for_a_moment_is_repeated(harness: Harness) -> None:
    harness.llm.script.failures[0] = [EngineUnavailable("restarting")] * 2

    await harness.work(make_chunk(0))

    assert harness.llm.indices == {SESSION: [0]}
    assert harness.count("chunks_dropped_total", reason="prefill") == 0


@pytest.mark.parametrize("stage", ["encode", "compress", "prefill"])
@pytest.mark.parametrize("error", [BadRequest("no"), ValueError("a bug")])
async def test_a_chunk_that_fails_for_good_is_left_out_and_the_session_goes_on(
    harness: Harness, stage: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    worker = {"encode": harness.encoder, "compress": harness.compressor, "prefill": harness.llm}
    worker[stage].script.failures[0] = [error]

    with caplog.at_level(logging.WARNING):
        await harness.work(make_chunk(0), make_chunk(1))

    assert harness.llm.indices == {SESSION: [1]}
    assert harness.count("chunks_dropped_total", reason=stage) == 1
    dropped, done = await harness.events()
    assert (dropped.type, dropped.data) == ("dropped", {"reason": stage, "index": 0})
    assert (done.type, done.data["index"]) == ("chunk", 1)
    [record] = caplog.records
    assert vars(record)["chunk_index"] == 0


async def test_a_stage_that_hangs_costs_its_chunk_only(harness: Harness) -> None:
    harness.encoder.script.gates[0] = asyncio.Event()

    await harness.work(make_chunk(0), make_chunk(1))

    assert harness.llm.indices == {SESSION: [1]}
    assert harness.count("chunks_dropped_total", reason="encode") == 1


async def test_lag_is_that_of_the_last_chunk_or_of_one_that_waits_for_longer(
    harness: Harness,
) -> None:
    assert harness.pipeline.lag_s == 0.0
    assert harness.pipeline.is_idle

    harness.pipeline.put(make_chunk(0))
    harness.now_s = STARTED_AT_S + 2.0 + 1.5  # it was complete after 2 s, and waits since then
    assert harness.pipeline.lag_s == pytest.approx(1.5)
    assert not harness.pipeline.is_idle

    harness.now_s = STARTED_AT_S + 2.0 + 0.5
    await harness.work()
    assert harness.pipeline.lag_s == pytest.approx(0.5)
    assert harness.pipeline.is_idle


@pytest.mark.parametrize("stage", ["encode", "compress", "prefill"])
async def test_chunk_that_was_given_up_is_waited_for_no_longer(
    harness: Harness, stage: str
) -> None:
    worker = {"encode": harness.encoder, "compress": harness.compressor, "prefill": harness.llm}
    worker[stage].script.failures[0] = [BadRequest("no")]

    await harness.work(make_chunk(0))
    harness.now_s = STARTED_AT_S + 100.0

    assert harness.pipeline.is_idle
    assert harness.pipeline.lag_s == 0.0


async def test_too_many_waiting_chunks_give_up_the_oldest_video_then_the_oldest(
    harness: Harness,
) -> None:
    await harness.work(*(make_chunk(index) for index in range(5)))

    assert [chunk.index for chunk in harness.encoder.chunks] == [1, 2, 3, 4]
    assert [chunk.grids == (None, None) for chunk in harness.encoder.chunks] == [
        True,
        True,
        False,
        False,
    ]
    assert harness.count("chunks_dropped_total", reason="backlog_video") == 3
    assert harness.count("chunks_dropped_total", reason="backlog") == 1
    told = [event.data for event in await harness.events() if event.type == "dropped"]
    assert {"reason": "backlog", "index": 0} in told
    assert {"reason": "backlog_video", "index": 2} in told


async def test_a_lost_store_is_waited_for(harness: Harness) -> None:
    harness.compressor.script.failures[0] = [StoreUnavailable("gone") for _ in range(20)]

    await harness.work(make_chunk(0))

    assert harness.llm.indices == {SESSION: [0]}


async def test_work_stops_when_the_session_has_ended(harness: Harness) -> None:
    harness.compressor.script.failures[0] = [SessionEnded(SESSION, reason="deleted")]
    harness.pipeline.put(make_chunk(0))
    harness.pipeline.put(make_chunk(1))

    await asyncio.wait_for(harness.pipeline.run(), timeout=5)

    assert harness.pipeline.is_over
    assert harness.llm.indices == {}
    assert await harness.events() == []


async def test_events_that_cannot_be_told_do_not_stop_the_work(harness: Harness) -> None:
    await harness.store.end(SESSION, "deleted", STARTED_AT_S)

    await harness.work(make_chunk(0))

    assert harness.llm.indices == {SESSION: [0]}


async def test_sessions_do_not_mix(harness: Harness) -> None:
    other_id = SessionId("other")
    await harness.store.create(other_id, SessionConfig("full"), STARTED_AT_S)
    other = Harness(harness.store, other_id)

    await asyncio.gather(
        harness.work(make_chunk(0), make_chunk(1)), other.work(make_chunk(7), make_chunk(8))
    )

    assert [event.data["index"] for event in await harness.events()] == [0, 1]
    assert [event.data["index"] for event in await other.events()] == [7, 8]
    assert other.llm.indices == {other_id: [7, 8]}


async def test_who_waits_for_room_makes_no_chunk_give_way(harness: Harness) -> None:
    pipeline = harness.pipeline

    async def put_all() -> None:
        for index in range(8):
            await pipeline.wait_room()
            pipeline.put(make_chunk(index))
        pipeline.finish()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        group.create_task(put_all())

    assert harness.llm.indices == {SESSION: list(range(8))}
    assert harness.count("chunks_dropped_total", reason="backlog_video") == 0


async def test_nobody_waits_for_room_in_a_session_that_is_over(harness: Harness) -> None:
    harness.compressor.script.failures[0] = [SessionEnded(SESSION, reason="deleted")]
    for index in range(2):
        harness.pipeline.put(make_chunk(index))

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(harness.pipeline.wait_room())
        group.create_task(harness.pipeline.run())


async def test_lag_of_what_comes_after_a_fast_recording_is_its_own(harness: Harness) -> None:
    harness.now_s = STARTED_AT_S + 3.0
    await harness.work(make_chunk(5, lead_s=10.0))

    [event] = [event for event in await harness.events() if event.type == "chunk"]
    assert event.data["lag_s"] == 1.0
