"""Compresses the chunks of concurrent sessions together. Knows neither sessions nor storage."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from compressor.config import CompressorConfig
from compressor.pipeline import Compressed, StreamState, TokenCompressor
from compressor.tokens import CompressedChunk, TokenChunk

HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    compressor: TokenCompressor
    chunk: TokenChunk
    state: StreamState | None
    answer: asyncio.Future[Compressed]


class CompressionBatcher:
    """Runs compressors in one thread, on whatever chunks wait when the thread is free.

    Nobody waits for company: a chunk that finds the thread free goes alone, and those that come
    while it is busy go together. One of the waiting callers does the work for all, so there is no
    task to own; if it is cancelled, the next one does it.
    """

    def __init__(
        self,
        *,
        device: torch.device = HOST,
        max_batch_chunks: int = 32,
        on_busy: Callable[[float], object] = lambda busy_s: None,
    ) -> None:
        """Prepare.

        Args:
            device: Where to compress; chunks are moved there.
            max_batch_chunks: Chunks compressed at once, 1 or more.
            on_busy: Told after each batch how long it took, in seconds.
        """
        self._device = device
        self._max_batch_chunks = max_batch_chunks
        self._pending: deque[_Request] = deque()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compressor")
        self._on_busy = on_busy

    async def compress(
        self, compressor: TokenCompressor, chunk: TokenChunk, state: StreamState | None
    ) -> Compressed:
        """See `TokenCompressor.compress`; the chunk it returns is in host memory of its own.

        Raises:
            ValueError: As there; other chunks of the batch are compressed all the same.
        """
        answer: asyncio.Future[Compressed] = asyncio.get_running_loop().create_future()
        request = _Request(compressor, chunk, state, answer)
        self._pending.append(request)
        try:
            async with self._turn:
                while not answer.done():
                    await self._run(self._take())
        finally:
            if request in self._pending:
                self._pending.remove(request)
        return answer.result()

    def close(self) -> None:
        """Stop the thread; what it has begun it still ends."""
        self._thread.shutdown(wait=False)

    def _take(self) -> list[_Request]:
        num_chunks = min(len(self._pending), self._max_batch_chunks)
        return [self._pending.popleft() for _ in range(num_chunks)]

    async def _run(self, batch: list[_Request]) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            results = await loop.run_in_executor(self._thread, compress_each, batch, self._device)
            for request, result in zip(batch, results, strict=True):
                _settle(request.answer, result)
        finally:
            self._on_busy(loop.time() - began_s)
            # cancelled: the others of the batch are left to the next caller
            self._pending.extendleft(
                request for request in reversed(batch) if not request.answer.done()
            )


def compress_each(
    requests: Sequence[_Request], device: torch.device
) -> list[Compressed | Exception]:
    """Compress what can be; an exception stands in the place of a chunk that cannot."""
    places: dict[CompressorConfig, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(request.compressor.config, []).append(place)
    results: dict[int, Compressed | Exception] = {}
    for group in places.values():
        done = _compress_alike([requests[place] for place in group], device)
        results.update(zip(group, done, strict=True))
    return [results[place] for place in range(len(requests))]


@torch.no_grad()
def _compress_alike(
    requests: Sequence[_Request], device: torch.device
) -> list[Compressed | Exception]:
    try:
        done = requests[0].compressor.compress_batch(
            [_on_device(request.chunk, device) for request in requests],
            [request.state for request in requests],
        )
        return [(_on_host(compressed), state) for compressed, state in done]
    except Exception as error:
        if len(requests) == 1:
            return [error]
    # only the bad ones fail: each by itself
    return [_compress_alike([request], device)[0] for request in requests]


def _on_device(chunk: TokenChunk, device: torch.device) -> TokenChunk:
    if chunk.audio.device == device:
        return chunk
    video = chunk.video
    moved = (
        tuple(grid.to(device) for grid in video) if isinstance(video, tuple) else video.to(device)
    )
    return replace(chunk, video=moved, audio=chunk.audio.to(device))


def _on_host(chunk: CompressedChunk) -> CompressedChunk:
    # copies even on the host: results are views of their batch, which would travel whole
    names = ("embeddings", "positions", "modality", "scores", "kept")
    return replace(chunk, **{name: getattr(chunk, name).to(HOST, copy=True) for name in names})


def _settle(answer: asyncio.Future[Compressed], result: Compressed | Exception) -> None:
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


__all__ = ["CompressionBatcher", "compress_each"]
