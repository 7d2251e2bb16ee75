"""Asks about watch rules as chunks come, on behalf of the replica that owns the session.

One visit per chunk: all rules that are due are asked at once, share a forward, and there give
way to questions of users. While a visit is under way later chunks make no other.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from service.clock import Clock
from service.errors import ServiceError
from service.events import Event
from service.llm.engine import Finished, LLMEngine, Message, Question, Sampling
from service.metrics import Metrics
from service.rules.judge import is_due, judge
from service.rules.outbox import Outbox
from service.sessions.record import ChunkRecord, Rule, RuleState, SessionId
from service.sessions.store import SessionStore, Verdict
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

YES = ("yes", "Yes", " yes", " Yes", "YES")
NO = ("no", "No", " no", " No", "NO")
DIGITS = 4


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """How rules are asked about.

    Attributes:
        window_s: Only the last so many seconds of stream count.
        timeout_s: Of one visit.
    """

    window_s: float = 4.0
    timeout_s: float = 10.0


class RuleWatch:
    """The rules of all sessions that a replica owns.

    It remembers nothing of them: where a rule stands is kept with its session, so that it neither
    fires twice nor forgets its cooldown when the session moves, and of two replicas that take a
    session for their own one is heard.
    """

    def __init__(
        self,
        engine: LLMEngine,
        store: SessionStore,
        metrics: Metrics,
        clock: Clock,
        outbox: Outbox | None,
        config: WatchConfig | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._outbox = outbox
        self._config = config or WatchConfig()
        self._visited: set[SessionId] = set()
        self._tasks = TaskSet()

    @property
    def num_visits(self) -> int:
        """Sessions whose rules are being asked about."""
        return len(self._visited)

    def see(self, session_id: SessionId, record: ChunkRecord) -> None:
        """A chunk is in context; never waits."""
        if session_id not in self._visited:
            self._visited.add(session_id)
            self._tasks.spawn(self._visit(session_id, record), name=f"rules {session_id}")

    async def aclose(self) -> None:
        """Stop asking and telling."""
        await self._tasks.aclose()
        if self._outbox is not None:
            await self._outbox.aclose()

    async def _visit(self, session_id: SessionId, record: ChunkRecord) -> None:
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await self._ask_due(session_id, record)
        except (ServiceError, TimeoutError) as error:
            logger.info("rules not asked: %s", error, extra={"session_id": session_id})
        finally:
            self._visited.discard(session_id)

    async def _ask_due(self, session_id: SessionId, record: ChunkRecord) -> None:
        now_s = self._clock()
        due = [
            (rule, state)
            for rule, state in await self._store.watched(session_id)
            if state.index < record.index and is_due(rule, state, now_s)
        ]
        ends = await asyncio.gather(*(self._ask(session_id, rule) for rule, _ in due))
        verdicts = []
        for (rule, state), end in zip(due, ends, strict=True):
            if end is None:
                self._count("error")
            else:
                verdicts.append((rule, self._judge(session_id, rule, state, record, end)))
        if verdicts:
            await self._settle(session_id, record.index, verdicts)

    def _judge(
        self,
        session_id: SessionId,
        rule: Rule,
        state: RuleState,
        record: ChunkRecord,
        end: Finished,
    ) -> Verdict:
        now_s = self._clock()
        state, fires = judge(rule, state, end.choices[0], now_s)
        data = match_data(session_id, rule, record, end)
        event = Event("rule.matched", session_id, now_s, data) if fires else None
        return Verdict(rule.id, replace(state, index=record.index), event)

    async def _settle(
        self, session_id: SessionId, index: int, verdicts: Sequence[tuple[Rule, Verdict]]
    ) -> None:
        are_kept = await self._store.settle_rules(session_id, index, [v for _, v in verdicts])
        for (rule, verdict), is_kept in zip(verdicts, are_kept, strict=True):
            if not is_kept:
                self._count("late")
            elif verdict.event is None:
                self._count("silent")
            else:
                self._count("matched")
                self._post(rule, verdict.event)

    async def _ask(self, session_id: SessionId, rule: Rule) -> Finished | None:
        question = yes_no_question(rule, window_s=self._config.window_s)
        try:
            async with aclosing(self._engine.ask(session_id, question)) as items:
                async for item in items:
                    if isinstance(item, Finished) and item.choices:
                        self._metrics.rule_tokens_total.inc(item.tail_tokens)
                        self._metrics.rule_seconds.observe(item.duration_s)
                        return item
        except ServiceError as error:
            logger.info("rule not asked: %s", error, extra={"session_id": session_id})
        return None

    def _post(self, rule: Rule, event: Event) -> None:
        if rule.webhook_url is not None and self._outbox is not None:
            head = {"type": event.type, "session_id": event.session_id, "at_s": event.at_s}
            self._outbox.post(rule.webhook_url, rule.webhook_secret, {**head, **event.data})

    def _count(self, outcome: str) -> None:
        self._metrics.rule_evaluations_total.labels(outcome=outcome).inc()


def yes_no_question(rule: Rule, *, window_s: float) -> Question:
    """The question of a rule. A condition that is a question is asked as it is."""
    text = rule.condition
    if not text.rstrip().endswith("?"):
        text = f"Is this so: {text}? Answer yes or no."
    return Question(
        id=f"rule-{secrets.token_hex(8)}",
        messages=(Message("user", text),),
        sampling=Sampling(max_tokens=1),
        window_s=window_s,
        choices=(YES, NO),
    )


def match_data(
    session_id: SessionId, rule: Rule, record: ChunkRecord, end: Finished
) -> dict[str, Any]:
    """The fields of a `rule.matched` event; documented in docs/api.md."""
    path = f"/v1/sessions/{session_id}/chunks/{record.index}/thumbnail"
    spans: Sequence[tuple[float, float]] = end.spans
    return {
        "rule_id": rule.id,
        "condition": rule.condition,
        "probability": round(end.choices[0], DIGITS),
        "start_s": spans[0][0] if spans else end.context_start_s,
        "end_s": end.context_end_s,
        "index": record.index,
        "thumbnail": None if record.marks.thumbnail is None else path,
    }


__all__ = ["RuleWatch", "WatchConfig", "match_data", "yes_no_question"]
