"""The engine behind asyncio: one thread runs the scheduler, coroutines only queue and wait.

Everything that touches the scheduler runs on that thread, as a command or between commands, so
there is no lock. A request that fails fails alone; should the scheduler itself fail, all requests
are told and later ones refused.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import torch

from compressor.omni.chat import ChatLayout
from compressor.omni.checkpoint import load_config, load_text_model, load_tokenizer, trained_ids
from compressor.tokens import CompressedChunk
from service.clock import Clock
from service.errors import EngineUnavailable
from service.llm.assembly import build_forward
from service.llm.config import EngineConfig
from service.llm.context import ContextRules, Horizon
from service.llm.delivery import Delivery, Stream, resolve, send
from service.llm.engine import EngineStats, Finished, Question, TokenDelta
from service.llm.engine_thread import Command, EngineThread
from service.llm.jobs import Outcome
from service.llm.recording import record
from service.llm.rehearsal import rehearse
from service.llm.scheduler import Scheduler
from service.llm.unit import Unit
from service.metrics import Metrics
from service.sessions.record import SessionId


class PagedEngine:
    """`LLMEngine` on a paged KV cache."""

    def __init__(self, scheduler: Scheduler, metrics: Metrics | None = None) -> None:
        self._scheduler = scheduler
        self._work = _Work(scheduler, metrics)
        self._thread = EngineThread(self._work)

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path,
        config: EngineConfig,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        metrics: Metrics | None = None,
        now: Clock = time.monotonic,
    ) -> "PagedEngine":
        """Load the text model of a checkpoint, and nothing else of it.

        Args:
            source: A folder in the layout of Qwen2.5-Omni, or a hub id.
            config: Limits.
            dtype: Of weights and cache, but for weights that the config holds as int8.
            device: Of both.
            metrics: Of this process.
            now: Seconds; for the durations of answers.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            ValueError: It is damaged, or the attention of the config cannot be had.
        """
        thinker = load_config(source)
        chat = ChatLayout(load_tokenizer(source), thinker)
        model, head = load_text_model(source, dtype, device, int8_weights=config.int8_weights)
        scheduler = Scheduler(
            build_forward(model, head, config),
            chat,
            config,
            horizon=Horizon(model.config.max_position_embeddings, trained_ids(thinker)),
            ids_per_s=thinker.position_id_per_seconds,
            now=now,
        )
        return cls(scheduler, metrics)

    @property
    def rules(self) -> ContextRules:
        """What bounds the context of each session."""
        return self._scheduler.rules

    async def open(self, session_id: SessionId, instructions: str | None) -> None:
        """Start a session with its header. Raises as `Scheduler.open` does."""
        await self._run(partial(self._work.open, session_id, instructions))

    async def append(self, session_id: SessionId, *chunks: CompressedChunk) -> None:
        """Extend the session's context; the chunks are in it when this returns.

        Cancelling the caller does not stop them. On an error none of them is in context.

        Raises:
            AtCapacity: No page can be freed for them, or too many chunks wait.
            BadRequest: One can never be in context; see `Scheduler.append`.
            EngineUnavailable: The model failed, or the session was closed meanwhile.
            SessionNotFound: The session is not open.
        """
        done: Future[None] = Future()
        run = partial(self._work.begin_append, session_id, chunks, done)
        self._thread.post(Command(run, partial(resolve, done)))
        await asyncio.wrap_future(done)

    async def ask(
        self, session_id: SessionId, question: Question
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        """Answer on a fork of the session's context; the last item is always `Finished`.

        Closing the iterator, or cancelling its task, stops the answer and frees its pages.

        Raises:
            AtCapacity: Too many questions, or no page can be freed for this one.
            BadRequest: It cannot be answered as it is; see `Scheduler.ask`.
            EngineUnavailable: The model failed.
            SessionNotFound: The session is not open.
        """
        stream = Stream(asyncio.get_running_loop(), asyncio.Queue())
        run = partial(self._work.begin_question, session_id, question, stream)
        self._thread.post(Command(run, lambda error: send([(stream, error)])))
        is_over = False
        try:
            while not is_over:
                item = await stream.items.get()
                is_over = not isinstance(item, TokenDelta)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            if not is_over:
                abandon = partial(self._work.abandon, question.id, stream)
                self._thread.post(Command(abandon, lambda _: None))

    async def abort(self, question_id: str) -> None:
        """Stop a question and free its pages; its last item says "cancelled"."""
        await self._run(partial(self._work.abort, question_id))

    async def close(self, session_id: SessionId) -> None:
        """Free the session, aborting its questions; unknown ids are ignored."""
        await self._run(partial(self._work.close, session_id))

    async def aclose(self) -> None:
        """Stop the engine; requests under way fail with `EngineUnavailable`."""
        await asyncio.to_thread(self._thread.stop)

    def warm_up(self) -> None:
        """Run typical shapes once, since the first run of each is slow. Blocks; for the start."""
        self._submit(partial(rehearse, self._scheduler)).result()

    def stats(self) -> EngineStats:
        """What is held and was done: no older than what the caller last waited for."""
        return self._work.stats

    def units(self, session_id: SessionId) -> tuple[Unit, ...]:
        """What is in the session's context of each chunk, oldest first; safe from any thread."""
        return self._scheduler.units(session_id)

    def held(self, session_id: SessionId) -> list[int]:
        """Indices of the chunks in the session's context, oldest first; safe from any thread."""
        return self._scheduler.held(session_id)

    def check_health(self) -> None:
        """Raise `EngineUnavailable` if the engine can serve no more."""
        self._thread.check()

    async def _run(self, action: Callable[[], None]) -> None:
        await asyncio.wrap_future(self._submit(action))

    def _submit(self, action: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()

        def run() -> None:
            action()
            resolve(done)

        self._thread.post(Command(run, partial(resolve, done)))
        return done


class _Work:
    """The scheduler and those who wait for it; all of it on the engine's thread."""

    def __init__(self, scheduler: Scheduler, metrics: Metrics | None) -> None:
        self.stats = scheduler.stats()
        self._scheduler = scheduler
        self._metrics = metrics
        self._delivery = Delivery()

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work

    def begin_append(
        self, session_id: SessionId, chunks: Sequence[CompressedChunk], done: Future[None]
    ) -> None:
        index = self._scheduler.append(session_id, *chunks)
        self._delivery.expect_chunk(session_id, index, done)

    def begin_question(self, session_id: SessionId, question: Question, stream: Stream) -> None:
        self._scheduler.ask(session_id, question)
        self._delivery.expect_answer(question.id, stream)

    def abandon(self, question_id: str, stream: Stream) -> None:
        # the id may be another question's by now, or always have been
        if self._delivery.is_expected_by(stream, question_id):
            self.abort(question_id)

    def abort(self, question_id: str) -> None:
        self._deliver(self._scheduler.abort(question_id))
        self.rest()

    def close(self, session_id: SessionId) -> None:
        self._deliver(self._scheduler.close(session_id))
        self.rest()

    def open(self, session_id: SessionId, instructions: str | None) -> None:
        self._scheduler.open(session_id, instructions)
        self.rest()

    def step(self) -> None:
        began_s = time.perf_counter()
        outcomes = self._scheduler.step()
        duration_s = time.perf_counter() - began_s
        num_steps_before = self.stats.steps
        self.rest()
        if self._metrics is not None and self.stats.steps > num_steps_before:
            self._metrics.engine_steps_total.inc()
            self._metrics.engine_step_seconds.observe(duration_s)
            self._metrics.busy_seconds_total.labels(stage="llm").inc(duration_s)
        self._deliver(outcomes)

    def rest(self) -> None:
        before, self.stats = self.stats, self._scheduler.stats()
        if self._metrics is not None:
            record(before, self.stats, self._metrics)

    def stop(self, error: EngineUnavailable) -> None:
        self._delivery.fail_all(error)

    def _deliver(self, outcomes: Iterable[Outcome]) -> None:
        for question_id in self._delivery.deliver(outcomes):
            self.abort(question_id)
