"""The LLM stage: owns sessions by lease, keeps their context as the log says, answers questions.

What the engine holds of a session is a function of the log's entries (but for what it gave up for
want of pages), so it stays good while it is not used; whatever is missing is applied before the
next use. Whatever is missing altogether is rebuilt, as far back as the context's rules reach: the
same tokens at the same ids, which have not seen what is gone. Knows nothing about Ray.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from compressor.tokens import CompressedChunk
from service.clock import Clock, steady_clock
from service.errors import (
    AtCapacity,
    BadRequest,
    EngineUnavailable,
    NoMediaYet,
    NotOwner,
    ServiceError,
    SessionEnded,
    SessionNotFound,
    StoreUnavailable,
)
from service.llm.admission import is_short_of_pages
from service.llm.dictation import Dictation
from service.llm.engine import Finished, LLMEngine, Question, TokenDelta
from service.llm.held import HeldSession, HeldSessions
from service.llm.notebook import Notebook
from service.llm.replay import is_apart, newest_entries, units_of_log
from service.llm.unit import Unit
from service.llm.watch import RuleWatch
from service.media.chunk import CHUNK_S
from service.metrics import Metrics
from service.sessions.record import ChunkRecord, Session, SessionId, Stage
from service.sessions.store import Lease, SessionStore

logger = logging.getLogger(__name__)

STAGE = Stage.LLM


class LLMWorker:
    """Satisfies `service.stages.LLMStage` in one process."""

    def __init__(
        self,
        engine: LLMEngine,
        store: SessionStore,
        metrics: Metrics,
        *,
        replica: str,
        lease_s: float = 10.0,
        idle_s: float = 10.0,
        outage_s: float = 300.0,
        logs_prompts: bool = False,
        clock: Clock | None = None,
        watch: RuleWatch | None = None,
    ) -> None:
        """Prepare.

        Args:
            engine: Holds the contexts; nobody else uses it.
            store: Leases, logs, turns.
            metrics: Of this process.
            replica: Its name in leases, unique among all replicas ever.
            lease_s: How long a session stays its own without another call.
            outage_s: How long what is held may be answered from while the store is away.
            idle_s: Sessions unused for so long give way when the engine is short of pages.
            logs_prompts: Write questions and answers into the log.
            clock: Unix time.
            watch: Told of chunks in context; closed with the worker.
        """
        self._engine = engine
        self._watch = watch
        self._store = store
        self._metrics = metrics
        self._replica = replica
        self._lease_s = lease_s
        self._idle_s = idle_s
        self._outage_s = outage_s
        self._notebook = Notebook(store, metrics, logs_prompts=logs_prompts)
        self._clock = clock or steady_clock()
        self._held = HeldSessions()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def num_sessions(self) -> int:
        """Sessions that the engine holds."""
        return self._held.num_open

    @property
    def pages_ratio(self) -> float:
        """Share of the KV pages in use."""
        stats = self._engine.stats()
        return 1.0 - stats.pages_free / stats.pages_total

    @property
    def room_tokens(self) -> int:
        """Tokens by which contexts can grow; idle sessions, which give way, count as room."""
        stats = self._engine.stats()
        idle = sum(stats.context_tokens.get(session_id, 0) for session_id in self._idle_sessions())
        return stats.room_tokens + idle

    def check_health(self) -> None:
        """Raise `EngineUnavailable` if the engine can serve no more."""
        self._engine.check_health()

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None:
        """See `LLMStage.append`; goes on to its end even if the caller is cancelled.

        Raises:
            AtCapacity: No page can be freed for the session; the chunk stays in the log.
            BadRequest: The chunk can never be in context; later ones can.
            EngineUnavailable: The model failed.
            NotOwner: Another replica holds the session's lease.
            SessionEnded: It is over.
            SessionNotFound: No such session.
            StoreUnavailable: Redis cannot be reached.
        """
        await self._finish(self._append(session_id, record, steal_from))

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        """See `LLMStage.ask`; however the answer ends, its turn is stored by then.

        Raises:
            NoMediaYet: The session has no chunk yet.
            ServiceError: As `append` and `LLMEngine.ask` do.
        """
        dictation = Dictation(session_id, question, self._clock)
        with self._held.use(session_id, self._clock()) as held:
            await self._finish(self._prepare(session_id, steal_from))
            dictation.context_end_s = (held.last_index + 1) * CHUNK_S
            outcome = "cancelled"
            end: Finished | None = None
            try:
                async with aclosing(self._answer(session_id, question)) as items:
                    async for item in items:
                        if isinstance(item, Finished):
                            end = dictation.finish(item)
                        else:
                            yield dictation.take(item)
            except Exception:
                outcome = "error"
                raise
            finally:
                await self._finish(self._notebook.write(dictation, dictation.turn(outcome)))
        assert end is not None, "an answer ended without Finished"
        yield end

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...]:
        """See `LLMStage.units`."""
        del steal_from  # nothing is taken over to look
        held = self._engine.units(session_id)
        if held:
            return held
        return await units_of_log(self._store, session_id, self._engine.rules)

    async def close(self, session_id: SessionId) -> None:
        """Free what the session holds and give its lease back; unknown sessions are ignored."""
        await self._finish(self._close(session_id))

    async def drain(self) -> None:
        """Give back all leases, so that the next call for a session moves it at once."""
        await self._finish(self._close_all())

    async def aclose(self) -> None:
        """Wait for what is still under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._watch is not None:
            await self._watch.aclose()

    async def _append(
        self, session_id: SessionId, record: ChunkRecord, steal_from: str | None
    ) -> None:
        with self._held.use(session_id, self._clock()) as held:
            async with held.lock:
                await self._own(session_id, held, steal_from, is_begun=record.follows >= 0)
                if record.follows > held.last_index:
                    await self._catch_up(held, await self._store.get(session_id))
                if record.index > held.last_index:
                    await self._apply(session_id, held, record)
                # also one that was read from the log: it may be the first since the session moved
                if self._watch is not None and record.index == held.last_index:
                    self._watch.see(session_id, record)
        await self._notebook.catch_up()  # the store has answered

    async def _prepare(self, session_id: SessionId, steal_from: str | None) -> None:
        with self._held.use(session_id, self._clock()) as held:
            if await self._is_ready(session_id, held, steal_from):
                return
            async with held.lock:
                await self._own(session_id, held, steal_from, is_begun=True)
                if held.last_index < 0:
                    raise NoMediaYet(session_id)

    async def _is_ready(
        self, session_id: SessionId, held: HeldSession, steal_from: str | None
    ) -> bool:
        """Whether a question can be put as things are, whatever chunk is on its way."""
        if held.last_index < 0:
            return False
        try:
            lease = await self._claim(session_id, steal_from)
        except StoreUnavailable:
            return self._may_answer_alone(held)
        except ServiceError:
            return False  # under the lock it will be raised again, and dealt with
        is_same = held.lease is not None and held.lease.epoch == lease.epoch
        if is_same:
            held.claimed_at_s = self._clock()
        return is_same

    def _may_answer_alone(self, held: HeldSession) -> bool:
        """Whether a question can be answered without the store; see docs/adr/0015."""
        since_s = self._clock() - held.claimed_at_s
        return held.lease is not None and since_s <= self._outage_s

    async def _claim(self, session_id: SessionId, steal_from: str | None) -> Lease:
        return await self._store.claim(
            session_id, STAGE, self._replica, ttl_s=self._lease_s, steal_from=steal_from
        )

    async def _own(
        self, session_id: SessionId, held: HeldSession, steal_from: str | None, *, is_begun: bool
    ) -> None:
        """Claim the lease, and bring the context up to the log if it was not ours before.

        `is_begun` says that the log holds more than what the caller brings.
        """
        try:
            lease = await self._claim(session_id, steal_from)
        except (NotOwner, SessionEnded, SessionNotFound):
            await self._let_go(session_id, held)
            raise
        is_same = held.lease is not None and held.lease.epoch == lease.epoch
        if not held.is_open:
            session = await self._store.get(session_id)
            await self._rebuild(held, session)
            if is_begun and session.num_chunks:
                self._metrics.rebuilds_total.labels(stage=STAGE).inc()
        elif not is_same:
            await self._catch_up(held, await self._store.get(session_id))
        held.lease, held.claimed_at_s = lease, self._clock()

    async def _rebuild(self, held: HeldSession, session: Session) -> None:
        await self._with_room(partial(self._engine.open, session.id, session.config.instructions))
        held.is_open, held.last_index = True, -1
        try:
            await self._catch_up(held, session)
        except BaseException:
            await self._let_go(session.id, held)
            raise
        self._count_sessions()

    async def _catch_up(self, held: HeldSession, session: Session) -> None:
        """Apply what the log has and the context lacks, as far back as its rules reach."""
        entries = await newest_entries(
            self._store, session, self._engine.rules, after=held.last_index
        )
        if held.last_index >= 0 and is_apart(entries, held.last_index):
            lease = held.lease
            await self._let_go(session.id, held)  # the log's end alone fills the context by now
            await self._rebuild(held, session)
            held.lease = lease
            return
        if len(entries) > 1 and await self._apply_all(session.id, held, entries):
            return
        for entry in entries:
            try:
                await self._apply(session.id, held, entry)
            except BadRequest as error:
                fields = {"session_id": session.id, "chunk_index": entry.index}
                logger.warning("chunk left out of the context: %s", error, extra=fields)

    async def _apply_all(
        self, session_id: SessionId, held: HeldSession, records: Sequence[ChunkRecord]
    ) -> bool:
        """Apply entries together, none of them further than the last leaves it.

        False if one is refused, or there is no room for all: one by one, the others come.
        """
        try:
            await self._take(session_id, *(record.compressed for record in records))
        except (AtCapacity, BadRequest):
            return False
        held.last_index = records[-1].index
        return True

    async def _apply(self, session_id: SessionId, held: HeldSession, record: ChunkRecord) -> None:
        try:
            await self._take(session_id, record.compressed)
        except BadRequest:
            held.last_index = record.index  # it will be no better next time
            raise
        held.last_index = record.index

    async def _take(self, session_id: SessionId, *chunks: CompressedChunk) -> None:
        units = self._engine.rules.held([self._engine.rules.unit(chunk) for chunk in chunks])
        num_tokens = sum(unit.num_tokens for unit in units)
        idle = self._idle_sessions()
        while self._costs_units(session_id, num_tokens) and await self._give_up_next(idle):
            pass
        await self._with_room(partial(self._engine.append, session_id, *chunks))

    def _costs_units(self, session_id: SessionId, num_tokens: int) -> bool:
        """Whether a session within its budget would lose units for want of pages."""
        stats = self._engine.stats()
        num_held = stats.context_tokens.get(session_id, 0)
        is_within_budget = num_held + num_tokens <= self._engine.rules.max_tokens
        return is_within_budget and num_tokens > stats.room_tokens

    async def _answer(
        self, session_id: SessionId, question: Question
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        idle = self._idle_sessions()
        while True:
            try:
                async with aclosing(self._engine.ask(session_id, question)) as items:
                    async for item in items:
                        yield item
                return
            except AtCapacity as error:  # only ever raised before the first item
                if not (is_short_of_pages(error) and await self._give_up_next(idle)):
                    raise

    async def _with_room(self, call: Callable[[], Awaitable[None]]) -> None:
        idle = self._idle_sessions()
        while True:
            try:
                return await call()
            except AtCapacity as error:
                if not (is_short_of_pages(error) and await self._give_up_next(idle)):
                    raise

    def _idle_sessions(self) -> Iterator[SessionId]:
        return self._held.idle(before_s=self._clock() - self._idle_s)

    async def _give_up_next(self, idle: Iterator[SessionId]) -> bool:
        """Free the next idle session; False if there is none."""
        session_id = next(idle, None)
        if session_id is None:
            return False
        logger.info("idle session gives way", extra={"session_id": session_id})
        with self._held.use(session_id, self._clock()) as held:
            async with held.lock:
                await self._let_go(session_id, held)
        return True

    async def _close(self, session_id: SessionId) -> None:
        with self._held.use(session_id, self._clock()) as held:
            async with held.lock:
                lease = held.lease
                await self._let_go(session_id, held)
                if lease is not None:
                    # it ends by itself where the store cannot be told
                    with contextlib.suppress(ServiceError):
                        await self._store.release(lease)

    async def _close_all(self) -> None:
        await self._notebook.catch_up()
        await asyncio.gather(*(self._close(session_id) for session_id in self._held.ids))

    async def _let_go(self, session_id: SessionId, held: HeldSession) -> None:
        if held.is_open:
            with contextlib.suppress(EngineUnavailable):
                await self._engine.close(session_id)
        held.forget()
        self._count_sessions()

    def _count_sessions(self) -> None:
        self._metrics.sessions_active.labels(stage=STAGE).set(self._held.num_open)

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Await work that must not stop half-way when the caller is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)
