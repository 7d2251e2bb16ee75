"""Many live streams on one device: the real stages in one process, one after another.

Chunks wait for company, then go through encoder and compressor in batches, the next batch once the
engine has taken in the one before. Questions and answers run in the same packed forwards as chunks,
and alone when there are none. Knows nothing about how many streams are wanted.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.arrivals import Arrival, arrivals
from benchmarks.chunks import ChunkShape, make_compressed, make_media
from benchmarks.load import Load
from benchmarks.stage_clock import StageClock
from compressor.pipeline import Compressor
from compressor.tokens import CompressedChunk, TokenChunk
from compressor.video import StreamState
from service.encoder.encoder import OmniEncoder
from service.errors import ServiceError
from service.llm.engine import Message, Question, Sampling
from service.llm.jobs import ChunkOutcome, Outcome
from service.llm.scheduler import Scheduler
from service.media.chunk import CHUNK_S, MediaChunk
from service.sessions.record import SessionId

STAGES = ("encode", "compress", "append", "questions")
QUESTION = "What is happening right now?"
NUM_MEDIA = 8


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """The stages of one method, and how they are driven.

    Attributes:
        encoder: Gives tokens in host memory.
        compressor: Works on `device`.
        scheduler: The engine's core; its answers are as long as asked for.
        shape: Of chunks; its ratios are the compressor's.
        device: Of all stages.
        max_batch_chunks: Chunks encoded, and compressed, at once.
        max_wait_s: How long the first chunk of a batch waits for others.
        context_chunks: Units held per session.
        answer_tokens: Tokens of an answer.
    """

    encoder: OmniEncoder
    compressor: Compressor
    scheduler: Scheduler
    shape: ChunkShape
    device: torch.device
    max_batch_chunks: int
    max_wait_s: float
    context_chunks: int
    answer_tokens: int

    def encode(self, chunks: Sequence[MediaChunk]) -> list[TokenChunk]:
        """Encode chunks together."""
        return [encoded.tokens for encoded in self.encoder.encode(chunks)]

    @torch.no_grad()
    def compress(
        self, chunks: Sequence[TokenChunk], states: Sequence[StreamState | None]
    ) -> list[tuple[CompressedChunk, StreamState]]:
        """Compress chunks of different streams together."""
        on_device = [_move(chunk, self.device) for chunk in chunks]
        return self.compressor.compress_batch(on_device, states)


@dataclass(slots=True, eq=False)
class _Stream:
    session_id: SessionId
    next_index: int = 0
    state: StreamState | None = None


class LiveDevice:
    """Streams that stay open from run to run, so that contexts are filled once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._media = [make_media(pipeline.shape, seed) for seed in range(NUM_MEDIA)]
        self._streams: list[_Stream] = []
        self._num_asked = 0

    def fill(self, num_streams: int) -> None:
        """Open streams until there are so many, with contexts as full as they get."""
        scheduler, shape = self._pipeline.scheduler, self._pipeline.shape
        embeddings = torch.randn(shape.num_tokens, scheduler.hidden_size)
        new = [
            _Stream(SessionId(f"stream {number}"))
            for number in range(len(self._streams), num_streams)
        ]
        for stream in new:
            scheduler.open(stream.session_id, None)
        for index in range(self._pipeline.context_chunks):
            for stream in new:
                chunk = make_compressed(shape, index, embeddings)
                scheduler.append(stream.session_id, chunk)
            while scheduler.has_work:
                for outcome in scheduler.step():
                    _check(outcome)
        for stream in new:
            stream.next_index = self._pipeline.context_chunks
        self._streams += new

    def run(self, num_streams: int, num_periods: int) -> Load:
        """Let so many streams run for some chunks each, and wait until all is done."""
        self.fill(num_streams)
        run = _Run(self._pipeline, StageClock(STAGES, self._pipeline.device))
        for arrival in arrivals(num_streams, num_periods):
            run.work_until(arrival.at_s)
            self._take(run, arrival)
        run.work_until(math.inf)
        return Load(
            num_streams, num_periods * CHUNK_S, run.lags_s, run.ttfts_s, dict(run.clock.busy_s)
        )

    def _take(self, run: "_Run", arrival: Arrival) -> None:
        stream = self._streams[arrival.stream]
        if arrival.is_question:
            self._num_asked += 1
            run.ask(arrival.at_s, stream, str(self._num_asked))
            return
        media = replace(self._media[stream.next_index % NUM_MEDIA], index=stream.next_index)
        stream.next_index += 1
        run.waiting.append((arrival.at_s, stream, media))


class _Run:
    """One run: what waits, what is under way, and when it was done."""

    def __init__(self, pipeline: Pipeline, clock: StageClock) -> None:
        self.clock = clock
        self.waiting: deque[tuple[float, _Stream, MediaChunk]] = deque()
        self.lags_s: list[float] = []
        self.ttfts_s: list[float] = []
        self._pipeline = pipeline
        self._appending: dict[tuple[SessionId, int], float] = {}
        self._asked: dict[str, float] = {}

    def work_until(self, at_s: float) -> None:
        """Work until a moment, at which the clock then stands or which it has passed.

        Args:
            at_s: When; infinity: until all is done.
        """
        while self.clock.now_s < at_s:
            if self._appending:
                self._step()
            elif self.clock.now_s >= self._batch_ready_s:
                self._encode_and_compress()
            elif self._pipeline.scheduler.has_work:
                self._step()
            elif (next_s := min(at_s, self._batch_ready_s)) < math.inf:
                self.clock.wait_until(next_s)
            else:
                return

    @property
    def _batch_ready_s(self) -> float:
        """When the chunks that wait are to be encoded."""
        if len(self.waiting) >= self._pipeline.max_batch_chunks:
            return -math.inf
        return self.waiting[0][0] + self._pipeline.max_wait_s if self.waiting else math.inf

    def ask(self, at_s: float, stream: _Stream, name: str) -> None:
        """Put a question."""
        sampling = Sampling(max_tokens=self._pipeline.answer_tokens)
        question = Question(name, (Message("user", QUESTION),), sampling)
        self._pipeline.scheduler.ask(stream.session_id, question)
        self._asked[name] = at_s

    def _encode_and_compress(self) -> None:
        batch = self._next_batch()
        tokens, took_s = self.clock.run(
            lambda: self._pipeline.encode([media for _, _, media in batch])
        )
        self.clock.charge("encode", took_s)
        compressed, took_s = self.clock.run(
            lambda: self._pipeline.compress(tokens, [stream.state for _, stream, _ in batch])
        )
        self.clock.charge("compress", took_s)
        streams = [stream for _, stream, _ in batch]
        _, took_s = self.clock.run(lambda: self._append(streams, compressed))
        self.clock.charge("append", took_s)
        for at_s, stream, media in batch:
            self._appending[stream.session_id, media.index] = at_s

    def _append(
        self,
        streams: Sequence[_Stream],
        compressed: Sequence[tuple[CompressedChunk, StreamState]],
    ) -> None:
        for stream, (chunk, state) in zip(streams, compressed, strict=True):
            stream.state = state
            self._pipeline.scheduler.append(stream.session_id, chunk)

    def _next_batch(self) -> list[tuple[float, _Stream, MediaChunk]]:
        """Take what waits, at most one chunk of a stream."""
        batch: list[tuple[float, _Stream, MediaChunk]] = []
        while self.waiting and len(batch) < self._pipeline.max_batch_chunks:
            if any(stream is self.waiting[0][1] for _, stream, _ in batch):
                break
            batch.append(self.waiting.popleft())
        return batch

    def _step(self) -> None:
        """Run a forward; its time is shared by tokens between chunks, and questions and answers."""
        scheduler = self._pipeline.scheduler
        before = scheduler.stats()
        outcomes, took_s = self.clock.run(scheduler.step)
        after = scheduler.stats()
        num_chunk = after.chunk_tokens - before.chunk_tokens
        num_other = after.question_tokens - before.question_tokens
        num_other += after.decode_tokens - before.decode_tokens
        share = num_chunk / max(num_chunk + num_other, 1)
        self.clock.charge("append", took_s * share)
        self.clock.charge("questions", took_s * (1 - share))
        for outcome in outcomes:
            self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        _check(outcome)
        if isinstance(outcome, ChunkOutcome):
            at_s = self._appending.pop((outcome.session_id, outcome.index))
            self.lags_s.append(self.clock.now_s - at_s)
        elif outcome.question_id in self._asked:
            # the first of its items is its first token
            self.ttfts_s.append(self.clock.now_s - self._asked.pop(outcome.question_id))


def _check(outcome: Outcome) -> None:
    """Raise what was refused: nothing may be, or the streams were not served."""
    failure = outcome.error if isinstance(outcome, ChunkOutcome) else outcome.item
    if isinstance(failure, ServiceError):
        raise failure


def _move(chunk: TokenChunk, device: torch.device) -> TokenChunk:
    if chunk.audio.device == device:
        return chunk
    assert isinstance(chunk.video, Tensor)  # grids of one size
    return replace(chunk, video=chunk.video.to(device), audio=chunk.audio.to(device))


__all__ = ["STAGES", "LiveDevice", "Pipeline"]
