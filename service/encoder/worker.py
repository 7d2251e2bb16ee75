"""Batches the chunks of concurrent callers for one encoder. Knows nothing about processes."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from service.errors import AtCapacity, Unavailable
from service.media.chunk import EncodedChunk, MediaChunk
from service.metrics import Metrics
from service.tasks import TaskSet
from service.tracing import note

STAGE = "encoder"


class Encoder(Protocol):
    """Encodes chunks together, synchronously; see `service.encoder.encoder.OmniEncoder`."""

    def encode(self, chunks: Sequence[MediaChunk]) -> list[EncodedChunk]: ...


@dataclass(slots=True, eq=False)
class _Request:
    chunk: MediaChunk
    answer: asyncio.Future[EncodedChunk]
    since_s: float
    waited_s: float = 0.0


class EncoderWorker:
    """Runs an encoder in a thread of its own, one batch at a time.

    A chunk waits at most `max_wait_s` for company, and not at all once a batch is full; while a
    batch is running, the next one gathers. Nothing runs while nobody asks.

    Args:
        encoder: Used from one thread only.
        metrics: Sizes of batches are recorded here.
        max_batch_chunks: Chunks encoded at once, 1 or more.
        max_wait_s: How long the first chunk of a batch waits.
        max_pending_chunks: More than this many waiting are refused.
    """

    def __init__(
        self,
        encoder: Encoder,
        metrics: Metrics,
        *,
        max_batch_chunks: int = 8,
        max_wait_s: float = 0.005,
        max_pending_chunks: int = 64,
    ) -> None:
        self._encoder = encoder
        self._metrics = metrics
        self._max_batch_chunks = max_batch_chunks
        self._max_wait_s = max_wait_s
        self._max_pending_chunks = max_pending_chunks
        self._pending: deque[_Request] = deque()
        self._is_full = asyncio.Event()  # a whole batch is pending
        self._tasks = TaskSet()
        self._is_running = False
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    async def encode(self, chunk: MediaChunk) -> EncodedChunk:
        """Encode a chunk with whatever else is asked for at the time.

        Cancelling the call takes the chunk out, unless its batch is running already.

        Raises:
            AtCapacity: Too many chunks wait.
            Unavailable: The worker is closed, or is being closed.
            ValueError: This chunk's tensors have a wrong shape or dtype; others of its batch are
                encoded all the same.
        """
        if self._is_closed:
            raise _closed()
        if len(self._pending) >= self._max_pending_chunks:
            raise AtCapacity(stage=STAGE, limit=self._max_pending_chunks, retry_after_s=1.0)
        loop = asyncio.get_running_loop()
        request = _Request(chunk, loop.create_future(), time.monotonic())
        self._pending.append(request)
        if len(self._pending) >= self._max_batch_chunks:
            self._is_full.set()
        if not self._is_running:
            self._is_running = True
            self._tasks.spawn(self._run(), name="encode batches")
        try:
            encoded = await request.answer
        finally:
            self._forget(request)
        note(omnisift__queue_s=request.waited_s)
        return encoded

    @property
    def num_pending(self) -> int:
        """Chunks that wait, those being encoded not counted."""
        return len(self._pending)

    @property
    def wait_s(self) -> float:
        """For how long the oldest of them has waited; 0 where none does."""
        return time.monotonic() - self._pending[0].since_s if self._pending else 0.0

    async def aclose(self) -> None:
        """Stop; calls not answered yet fail. What the thread has begun it still ends, unseen."""
        self._is_closed = True
        await self._tasks.aclose()
        for request in self._pending:
            _settle(request.answer, _closed())
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            while self._pending:
                await self._gather()
                if batch := self._take():
                    await self._encode(batch)
        finally:
            self._is_running = False

    async def _gather(self) -> None:
        """Wait until a batch is full, or its first chunk has waited long enough."""
        left_s = self._pending[0].since_s + self._max_wait_s - time.monotonic()
        if left_s <= 0 or len(self._pending) >= self._max_batch_chunks:
            return
        self._is_full.clear()
        try:
            async with asyncio.timeout(left_s):
                await self._is_full.wait()
        except TimeoutError:
            return

    def _take(self) -> list[_Request]:
        num_chunks = min(len(self._pending), self._max_batch_chunks)
        return [self._pending.popleft() for _ in range(num_chunks)]

    async def _encode(self, batch: list[_Request]) -> None:
        self._metrics.encoder_batch_chunks.observe(len(batch))
        chunks = [request.chunk for request in batch]
        results: list[EncodedChunk | Exception] = [_closed() for _ in batch]
        loop = asyncio.get_running_loop()
        began_s = time.monotonic()
        for request in batch:
            request.waited_s = began_s - request.since_s
        try:
            results = await loop.run_in_executor(
                self._thread, encode_each_or_fail, self._encoder, chunks
            )
        finally:
            busy_s = time.monotonic() - began_s
            self._metrics.busy_seconds_total.labels(stage="encode").inc(busy_s)
            for request, result in zip(batch, results, strict=True):
                _settle(request.answer, result)

    def _forget(self, request: _Request) -> None:
        if request in self._pending:
            self._pending.remove(request)


def encode_each_or_fail(
    encoder: Encoder, chunks: Sequence[MediaChunk]
) -> list[EncodedChunk | Exception]:
    """Encode chunks together; if that fails, one by one, so that only the bad ones fail."""
    try:
        return list(encoder.encode(chunks))
    except Exception as error:
        if len(chunks) == 1:
            return [error]
    return [encode_each_or_fail(encoder, [chunk])[0] for chunk in chunks]


def _closed() -> Unavailable:
    return Unavailable("the encoder is closed")


def _settle(answer: asyncio.Future[EncodedChunk], result: EncodedChunk | Exception) -> None:
    if answer.done():
        return  # the caller has gone
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


__all__ = ["STAGE", "Encoder", "EncoderWorker", "encode_each_or_fail"]
