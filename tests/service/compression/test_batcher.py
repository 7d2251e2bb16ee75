import asyncio
import pickle
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from compressor.pipeline import Compressed, StreamState, TokenCompressor
from compressor.tokens import CompressedChunk, TokenChunk
from service.compression.batcher import CompressionBatcher
from tests.service.compression.streams import make_chunk, make_compressor, make_selector
from tests.tensors import make_token_chunk


class GatedCompressor(TokenCompressor):
    """The real thing; waits at a gate before its first batch, and remembers how large they were."""

    def __init__(self) -> None:
        super().__init__(make_compressor().config, make_selector())
        self.gate = threading.Event()
        self.batches: list[int] = []

    def compress_batch(
        self, chunks: Sequence[TokenChunk], states: Sequence[StreamState | None]
    ) -> list[Compressed]:
        assert self.gate.wait(5.0)
        self.batches.append(len(chunks))
        return super().compress_batch(chunks, states)


@pytest.fixture
def batcher() -> Iterator[CompressionBatcher]:
    batcher = CompressionBatcher(max_batch_chunks=4)
    yield batcher
    batcher.close()


def assert_equal(actual: CompressedChunk, expected: CompressedChunk) -> None:
    for name in ("embeddings", "positions", "modality", "kept"):
        assert torch.equal(getattr(actual, name), getattr(expected, name)), name
    torch.testing.assert_close(actual.scores, expected.scores)  # rounding depends on the batch
    assert actual.counts_kept == expected.counts_kept


async def start(
    batcher: CompressionBatcher, compressor: TokenCompressor, chunks: Sequence[TokenChunk]
) -> list[asyncio.Task[Compressed]]:
    tasks = [asyncio.ensure_future(batcher.compress(compressor, c, None)) for c in chunks]
    await asyncio.sleep(0.05)  # the first is in the thread, at the gate
    return tasks


@pytest.mark.parametrize("profile", ["paper-25", "live", "full"])
async def test_result_is_that_of_the_compressor(batcher: CompressionBatcher, profile: str) -> None:
    compressor = make_compressor(profile)
    state: StreamState | None = None
    expected_state: StreamState | None = None
    for index in range(4):
        chunk = make_chunk(index).tokens

        compressed, state = await batcher.compress(compressor, chunk, state)

        expected, expected_state = compressor.compress(chunk, expected_state)
        assert_equal(compressed, expected)


async def test_chunks_that_come_while_the_thread_is_busy_go_together(
    batcher: CompressionBatcher,
) -> None:
    compressor = GatedCompressor()
    chunks = [make_token_chunk(seed) for seed in range(8)]
    tasks = await start(batcher, compressor, chunks)

    compressor.gate.set()
    results = await asyncio.gather(*tasks)

    assert compressor.batches == [1, 4, 3]
    for chunk, (compressed, _) in zip(chunks, results, strict=True):
        assert_equal(compressed, compressor.compress(chunk)[0])


async def test_profiles_are_not_mixed_in_a_batch(batcher: CompressionBatcher) -> None:
    gated, full = GatedCompressor(), make_compressor("full")
    chunk = make_token_chunk(0)
    tasks = await start(batcher, gated, [chunk, chunk])
    other = asyncio.ensure_future(batcher.compress(full, chunk, None))
    gated.gate.set()

    await asyncio.gather(*tasks)

    assert_equal((await other)[0], full.compress(chunk)[0])
    assert tasks[1].result()[0].counts_kept.total < (await other)[0].counts_kept.total


async def test_bad_chunk_fails_alone(batcher: CompressionBatcher) -> None:
    compressor = GatedCompressor()
    good = [make_token_chunk(seed) for seed in range(4)]
    bad = replace(good[2], audio=torch.full_like(good[2].audio, float("nan")))
    tasks = await start(batcher, compressor, [good[0], good[1], bad, good[3]])
    compressor.gate.set()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(results[2], ValueError)
    assert [isinstance(result, tuple) for result in results] == [True, True, False, True]


async def test_the_others_go_on_when_the_working_caller_is_cancelled(
    batcher: CompressionBatcher,
) -> None:
    compressor = GatedCompressor()
    chunks = [make_token_chunk(seed) for seed in range(3)]
    tasks = await start(batcher, compressor, [chunks[0]])
    compressor.gate.set()
    await tasks[0]
    compressor.gate.clear()
    first = asyncio.ensure_future(batcher.compress(compressor, chunks[0], None))
    rest = [asyncio.ensure_future(batcher.compress(compressor, c, None)) for c in chunks[1:]]
    await asyncio.sleep(0.05)

    first.cancel()
    await asyncio.sleep(0.05)
    compressor.gate.set()

    for chunk, (compressed, _) in zip(chunks[1:], await asyncio.gather(*rest), strict=True):
        assert_equal(compressed, compressor.compress(chunk)[0])


async def test_cancelled_caller_is_taken_out(batcher: CompressionBatcher) -> None:
    compressor = GatedCompressor()
    tasks = await start(batcher, compressor, [make_token_chunk(seed) for seed in range(3)])

    tasks[1].cancel()
    await asyncio.sleep(0)
    compressor.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert compressor.batches == [1, 1]


async def test_any_number_of_cancellations_leaves_the_rest_right(
    batcher: CompressionBatcher,
) -> None:
    compressor = make_compressor()
    chunks = [make_token_chunk(seed) for seed in range(30)]
    tasks = [asyncio.ensure_future(batcher.compress(compressor, c, None)) for c in chunks]
    for number, task in enumerate(tasks):
        if number % 3 == 0:
            await asyncio.sleep(0.001)
            task.cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    for chunk, result in zip(chunks, results, strict=True):
        if isinstance(result, tuple):
            assert_equal(result[0], compressor.compress(chunk)[0])
        else:
            assert isinstance(result, asyncio.CancelledError)
    assert sum(isinstance(result, tuple) for result in results) >= 20


async def test_result_travels_without_its_batch(batcher: CompressionBatcher) -> None:
    compressor = GatedCompressor()
    tasks = await start(batcher, compressor, [make_token_chunk(seed) for seed in range(5)])
    compressor.gate.set()

    sizes = {len(pickle.dumps(result[0])) for result in await asyncio.gather(*tasks)}

    assert compressor.batches == [1, 4]
    assert max(sizes) - min(sizes) < 64
