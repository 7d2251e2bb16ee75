"""What a live WebRTC stream costs the process that takes it in: RTP, decoding, chunks, spectrum.

    python -m benchmarks.ingest [--streams 2] [--seconds 20] [--size 640x480] [--fps 30]

Publishers run in a process of their own, so that their encoders are not counted; the stages behind
ingest give made-up chunks at once. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection

import numpy as np
import torch
from av import AudioFrame, VideoFrame

from benchmarks.chunks import ChunkShape, make_compressed
from clients.sdk.errors import ConnectionFailed
from clients.sdk.media.framing import FRAME_SAMPLES, stamp_audio, stamp_video
from clients.sdk.media.peer import SendingPeer
from clients.sdk.media.source import FrameReader, Source
from clients.sdk.media.tracks import Meter
from compressor.tokens import TokenChunk
from service.clock import steady_clock
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.worker import IngestWorker
from service.llm.engine import Finished, Question, TokenDelta
from service.llm.unit import Unit
from service.media.chunk import CHUNK_S, EncodedChunk, MediaChunk
from service.metrics import Metrics
from service.pipeline import Stages
from service.sessions.record import ChunkRecord, SessionConfig, SessionId
from service.sessions.redis_server import start_redis_server
from service.sessions.redis_store import RedisSessionStore

SETTLE_S = 3.0  # connections, the first key frame
NUM_PICTURES = 30
WIDTH = 8  # of embeddings that nobody reads


class _MadeUp:
    """Every stage behind ingest, at no cost."""

    def __init__(self) -> None:
        self._shape = ChunkShape(side=8)
        self._embeddings = torch.zeros(self._shape.num_tokens, WIDTH)
        self._last: dict[SessionId, int] = {}
        self.num_chunks = 0

    async def encode(self, chunk: MediaChunk) -> EncodedChunk:
        total = self._shape.counts_in
        tokens = TokenChunk(
            torch.zeros(2, total.video // 2, WIDTH),
            torch.zeros(total.audio, WIDTH),
            torch.zeros(3, total.total, dtype=torch.long),
            CHUNK_S * chunk.index,
        )
        return EncodedChunk(chunk.index, tokens, ((8, 8), (8, 8)), chunk.gaps)

    async def compress(
        self, session_id: SessionId, chunk: EncodedChunk, *, steal_from: str | None = None
    ) -> ChunkRecord:
        compressed = make_compressed(self._shape, chunk.index, self._embeddings)
        follows = self._last.get(session_id, -1)
        self._last[session_id] = chunk.index
        return ChunkRecord(chunk.index, follows, compressed, chunk.grid_sizes, chunk.gaps)

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None:
        self.num_chunks += 1

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        raise AssertionError("this benchmark asks nothing")
        yield  # makes it a generator

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...]:
        return ()

    async def close(self, session_id: SessionId) -> None:
        self._last.pop(session_id, None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line, and the JSON object last."""
    options = _parse(arguments)
    torch.set_num_threads(1)
    core_ratio, num_chunks = measure(options.streams, options.seconds, options.size, options.fps)
    print(
        f"{options.streams} streams of {options.size[0]}x{options.size[1]} at {options.fps:g} fps "
        f"with audio: {core_ratio:.1%} of a core each, {num_chunks} chunks in "
        f"{options.seconds:g} s"
    )
    print(
        json.dumps(
            {
                "benchmark": "ingest",
                "streams": options.streams,
                "core_ratio_per_stream": round(core_ratio, 4),
                "work_s_per_chunk": round(CHUNK_S * core_ratio, 4),
                "chunks": num_chunks,
                "torch": torch.__version__,
            }
        )
    )


def measure(
    num_streams: int,
    lasts_s: float,
    size: tuple[int, int] = (640, 480),
    fps: float = 30.0,
    settle_s: float = SETTLE_S,
) -> tuple[float, int]:
    """Take in some streams for a while.

    Returns:
        Seconds of processor time per second and stream, and how many chunks came out.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    publishers = context.Process(
        target=_publish, args=(theirs, num_streams, size, fps), name="publishers", daemon=True
    )
    publishers.start()
    try:
        with start_redis_server() as redis_url:
            return asyncio.run(_ingest(ours, redis_url, num_streams, lasts_s, settle_s))
    finally:
        publishers.terminate()
        publishers.join()


async def _ingest(
    pipe: Connection, redis_url: str, num_streams: int, lasts_s: float, settle_s: float
) -> tuple[float, int]:
    stages = _MadeUp()
    store = RedisSessionStore.connect(redis_url)
    clock = steady_clock()
    around = Surroundings("ingest", Stages(stages, stages, stages), store, Metrics(), clock)
    worker = IngestWorker(around, IngestConfig(max_sessions=num_streams))
    for number in range(num_streams):
        session_id = SessionId(f"stream-{number}")
        await store.create(session_id, SessionConfig(profile="live"), clock())
        offer = await asyncio.to_thread(pipe.recv)
        pipe.send((await worker.offer(session_id, offer)).sdp)
    await asyncio.sleep(settle_s)
    before_chunks, before_s = stages.num_chunks, time.process_time()
    began_s = time.monotonic()
    await asyncio.sleep(lasts_s)
    took_s = time.monotonic() - began_s
    core_ratio = (time.process_time() - before_s) / took_s / num_streams
    num_chunks = stages.num_chunks - before_chunks
    await worker.aclose()
    await store.aclose()
    return core_ratio, num_chunks


def _publish(pipe: Connection, num_streams: int, size: tuple[int, int], fps: float) -> None:
    """Publish until this process is stopped."""

    async def run() -> None:
        peers = []
        for number in range(num_streams):
            peer = SendingPeer(_source(number, size, fps), Meter(), None)
            pipe.send(await peer.offer())
            await peer.accept(await asyncio.to_thread(pipe.recv))
            peers.append(peer)
        await asyncio.gather(*(peer.finished(lambda: None) for peer in peers))

    with suppress(ConnectionFailed):  # the other end has stopped
        asyncio.run(run())


def _source(seed: int, size: tuple[int, int], fps: float) -> Source:
    """A camera's worth of moving, noisy pictures, and noise to hear."""
    draw = np.random.default_rng(seed)
    width, height = size
    ground = draw.integers(60, 190, (height // 16 + 2, width // 16 + 2, 3))
    blurred = np.kron(ground, np.ones((16, 16, 1)))
    pictures = [
        VideoFrame.from_ndarray(
            np.clip(
                blurred[shift // 2 : shift // 2 + height, shift : shift + width]
                + draw.normal(0, 4, (height, width, 1)),
                0,
                255,
            ).astype(np.uint8),
            format="rgb24",
        ).reformat(format="yuv420p")
        for shift in range(NUM_PICTURES)
    ]
    sound = draw.normal(0, 500, 48_000).astype(np.int16)

    def video() -> Generator[VideoFrame, None, None]:
        for index in count():
            place = index % (2 * NUM_PICTURES - 2)
            picture = pictures[min(place, 2 * NUM_PICTURES - 2 - place)]
            yield stamp_video(picture, index / fps)

    def audio() -> Generator[AudioFrame, None, None]:
        for first in count(0, FRAME_SAMPLES):
            start = first % (len(sound) - FRAME_SAMPLES)
            yield stamp_audio(sound[start : start + FRAME_SAMPLES], first)

    return Source("camera", FrameReader(video()), FrameReader(audio()))


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", type=_size, default=(640, 480), metavar="WIDTHxHEIGHT")
    parser.add_argument("--fps", type=float, default=30.0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
