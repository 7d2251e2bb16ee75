"""Ray adapter of the LLM: session-affine, one owner per session, answers stream."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from service.clock import steady_clock
from service.deployments.answers import answer, answers
from service.deployments.engine import engine_config
from service.deployments.replica import Replica
from service.egress import AllowList
from service.errors import ServiceError
from service.llm.engine import Finished, Question, TokenDelta
from service.llm.paged_engine import PagedEngine
from service.llm.unit import Unit
from service.llm.watch import RuleWatch, WatchConfig
from service.llm.worker import LLMWorker
from service.rules.outbox import Outbox, OutboxConfig
from service.sessions.record import ChunkRecord, SessionId
from service.settings import Settings
from service.tracing import Carrier, SpanKind


class LLMDeployment:
    """One LLM replica."""

    def __init__(self, settings: Settings) -> None:
        self._replica = Replica(settings)
        limits = settings.llm
        engine = PagedEngine.from_checkpoint(
            settings.model,
            engine_config(settings),
            dtype=settings.torch_dtype,
            device=settings.device,
            metrics=self._replica.metrics,
        )
        engine.warm_up()
        store, metrics, clock = self._replica.connect_store(), self._replica.metrics, steady_clock()
        rules = settings.rules
        outbox = Outbox(OutboxConfig(AllowList.parse(rules.webhook_hosts)), metrics, clock)
        watch = WatchConfig(rules.window_s)
        self._worker = LLMWorker(
            engine,
            store,
            metrics,
            watch=RuleWatch(engine, store, metrics, clock, outbox, watch),
            replica=self._replica.id,
            lease_s=limits.lease_s,
            logs_prompts=settings.log_prompts,
            outage_s=limits.outage_s,
        )

    async def append(
        self,
        session_id: SessionId,
        record: ChunkRecord,
        *,
        steal_from: str | None = None,
        parent: Carrier | None = None,
    ) -> ServiceError | None:
        with self._replica.tracing.span("LLM.append", parent=parent, kind=SpanKind.SERVER):
            return await answer(self._worker.append(session_id, record, steal_from=steal_from))

    async def ask(
        self,
        session_id: SessionId,
        question: Question,
        *,
        steal_from: str | None = None,
        parent: Carrier | None = None,
    ) -> AsyncIterator[TokenDelta | Finished | ServiceError]:
        tracing = self._replica.tracing
        span = tracing.begin("LLM.ask", parent=parent, kind=SpanKind.SERVER)
        items = self._worker.ask(session_id, question, steal_from=steal_from)
        async with aclosing(tracing.around(items, span)) as traced:
            async for item in answers(traced):
                yield item

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...] | ServiceError:
        return await answer(self._worker.units(session_id, steal_from=steal_from))

    async def close(self, session_id: SessionId, *, steal_from: str | None = None) -> None:
        del steal_from  # it has served its purpose: the router read it
        await self._worker.close(session_id)

    def check_health(self) -> None:
        """Ray replaces a replica for which this keeps failing."""
        self._worker.check_health()

    async def exposition(self) -> tuple[str, str, bytes]:
        return self._replica.exposition()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {
            "sessions": self._worker.num_sessions,
            "pages": self._worker.pages_ratio,
            "busy": self._replica.busy_ratio(),
            "room_tokens": self._worker.room_tokens,  # for the admission of new sessions
        }

    def record_routing_stats(self) -> dict[str, float]:
        return {"sessions": self._worker.num_sessions}

    async def __del__(self) -> None:
        """Ray calls this before it stops the replica, when the last call is done."""
        await self._worker.drain()
