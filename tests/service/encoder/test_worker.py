import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import torch

from service.encoder.encoder import OmniEncoder
from service.encoder.worker import EncoderWorker, encode_each_or_fail
from service.errors import AtCapacity, Unavailable
from service.media.chunk import EncodedChunk, MediaChunk
from service.metrics import Metrics

MakeChunk = Callable[..., MediaChunk]
SOON_S = 5.0  # far beyond what anything here takes


class Watched:
    """The real encoder, with a record of its batches and a gate that holds it."""

    def __init__(self, encoder: OmniEncoder) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.is_busy = threading.Event()
        self._encoder = encoder

    def encode(self, chunks: Sequence[MediaChunk]) -> list[EncodedChunk]:
        self.batches.append([chunk.index for chunk in chunks])
        self.threads.add(threading.current_thread().name)
        self.is_busy.set()
        assert self.gate.wait(SOON_S)
        return self._encoder.encode(chunks)


@pytest.fixture
def watched(encoder: OmniEncoder) -> Watched:
    return Watched(encoder)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def worker(watched: Watched, metrics: Metrics) -> AsyncIterator[EncoderWorker]:
    worker = EncoderWorker(watched, metrics, max_batch_chunks=4, max_wait_s=0.05)
    yield worker
    watched.gate.set()
    await worker.aclose()


def small(make_chunk: MakeChunk, index: int) -> MediaChunk:
    return make_chunk(index, sizes=((1, 1),), mel_frames=20)


def bad(index: int) -> MediaChunk:
    return MediaChunk(index, (), torch.zeros(80, 3))


async def busy(watched: Watched) -> None:
    assert await asyncio.to_thread(watched.is_busy.wait, SOON_S)


async def test_concurrent_chunks_share_a_batch(
    worker: EncoderWorker, watched: Watched, encoder: OmniEncoder, make_chunk: MakeChunk
) -> None:
    chunks = [small(make_chunk, index) for index in range(3)]

    encoded = await asyncio.gather(*map(worker.encode, chunks))

    assert watched.batches == [[0, 1, 2]]
    for ours, theirs in zip(encoded, encoder.encode(chunks), strict=True):
        assert ours.index == theirs.index
        assert torch.equal(ours.tokens.audio, theirs.tokens.audio)


async def test_full_batch_does_not_wait(
    watched: Watched, metrics: Metrics, make_chunk: MakeChunk
) -> None:
    worker = EncoderWorker(watched, metrics, max_batch_chunks=2, max_wait_s=10 * SOON_S)

    async with asyncio.timeout(SOON_S):
        await asyncio.gather(*(worker.encode(small(make_chunk, k)) for k in range(4)))

    assert watched.batches == [[0, 1], [2, 3]]
    await worker.aclose()


async def test_lone_chunk_waits_no_longer_than_the_limit(
    worker: EncoderWorker, watched: Watched, make_chunk: MakeChunk
) -> None:
    async with asyncio.timeout(SOON_S):
        await worker.encode(small(make_chunk, 0))

    assert watched.batches == [[0]]


async def test_next_batch_gathers_while_one_runs(
    worker: EncoderWorker, watched: Watched, make_chunk: MakeChunk
) -> None:
    watched.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.encode(small(make_chunk, 0)))
        await busy(watched)
        for index in range(1, 6):
            group.create_task(worker.encode(small(make_chunk, index)))
        await asyncio.sleep(0)
        watched.gate.set()

    assert watched.batches == [[0], [1, 2, 3, 4], [5]]


async def test_bad_chunk_fails_alone(
    worker: EncoderWorker, watched: Watched, make_chunk: MakeChunk
) -> None:
    chunks = [small(make_chunk, 0), bad(1), small(make_chunk, 2)]

    results = await asyncio.gather(*map(worker.encode, chunks), return_exceptions=True)

    assert isinstance(results[1], ValueError)
    assert "[80, 3]" in str(results[1])
    assert [result.index for result in results if isinstance(result, EncodedChunk)] == [0, 2]
    assert watched.batches == [[0, 1, 2], [0], [1], [2]]


async def test_worker_goes_on_after_a_failure(worker: EncoderWorker, make_chunk: MakeChunk) -> None:
    with pytest.raises(ValueError, match="mel must be"):
        await worker.encode(bad(0))

    assert (await worker.encode(small(make_chunk, 1))).index == 1


async def test_too_many_waiting_chunks_are_refused(
    watched: Watched, metrics: Metrics, make_chunk: MakeChunk
) -> None:
    worker = EncoderWorker(watched, metrics, max_batch_chunks=1, max_pending_chunks=2)
    watched.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.encode(small(make_chunk, 0)))
        await busy(watched)
        waiting = [group.create_task(worker.encode(small(make_chunk, k))) for k in (1, 2)]
        await asyncio.sleep(0)

        with pytest.raises(AtCapacity) as caught:
            await worker.encode(small(make_chunk, 3))
        await asyncio.sleep(0.02)
        assert worker.num_pending == 2
        assert worker.wait_s >= 0.02
        watched.gate.set()

    assert caught.value.retry_after_s == 1.0
    assert worker.wait_s == 0.0
    assert [task.result().index for task in waiting] == [1, 2]
    await worker.aclose()


async def test_cancelled_chunk_is_not_encoded(
    worker: EncoderWorker, watched: Watched, make_chunk: MakeChunk
) -> None:
    watched.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.encode(small(make_chunk, 0)))
        await busy(watched)
        leaving = group.create_task(worker.encode(small(make_chunk, 1)))
        staying = group.create_task(worker.encode(small(make_chunk, 2)))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        watched.gate.set()

    assert watched.batches == [[0], [2]]
    assert staying.result().index == 2


async def test_caller_who_leaves_during_a_batch_harms_nobody(
    worker: EncoderWorker, watched: Watched, make_chunk: MakeChunk
) -> None:
    watched.gate.clear()
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(worker.encode(small(make_chunk, 0)))
        staying = group.create_task(worker.encode(small(make_chunk, 1)))
        await busy(watched)
        leaving.cancel()
        await asyncio.sleep(0)
        watched.gate.set()

    assert staying.result().index == 1


async def test_loop_stays_free_while_a_batch_runs(
    worker: EncoderWorker, watched: Watched, make_chunk: MakeChunk
) -> None:
    watched.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.encode(small(make_chunk, 0)))
        await busy(watched)
        async with asyncio.timeout(SOON_S):
            await asyncio.sleep(0.01)  # would never return if the gate held the loop
        watched.gate.set()
        group.create_task(worker.encode(small(make_chunk, 1)))

    assert len(watched.threads) == 1
    assert threading.current_thread().name not in watched.threads


async def test_sizes_of_batches_are_recorded(
    worker: EncoderWorker, metrics: Metrics, make_chunk: MakeChunk
) -> None:
    await asyncio.gather(*(worker.encode(small(make_chunk, k)) for k in range(3)))
    await worker.encode(small(make_chunk, 3))

    samples = {
        sample.name.removeprefix("omnisift_encoder_batch_chunks"): sample.value
        for sample in metrics.encoder_batch_chunks.collect()[0].samples
        if "le" not in sample.labels
    }
    assert (samples["_count"], samples["_sum"]) == (2, 4)


async def test_closing_fails_the_calls_that_wait(
    watched: Watched, metrics: Metrics, make_chunk: MakeChunk
) -> None:
    worker = EncoderWorker(watched, metrics, max_batch_chunks=1)
    watched.gate.clear()
    calls = [asyncio.ensure_future(worker.encode(small(make_chunk, k))) for k in range(3)]
    await busy(watched)

    await worker.aclose()
    watched.gate.set()

    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    with pytest.raises(Unavailable):
        await worker.encode(small(make_chunk, 4))


def test_failure_of_all_is_told_to_each() -> None:
    class Broken:
        def encode(self, chunks: Sequence[MediaChunk]) -> list[EncodedChunk]:
            raise RuntimeError(f"out of memory for {len(chunks)}")

    results = encode_each_or_fail(Broken(), [bad(0), bad(1)])

    assert [str(result) for result in results] == ["out of memory for 1"] * 2
