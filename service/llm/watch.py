"""Asks about watch rules as chunks come, on behalf of the replica that owns the session.

One visit per chunk: all rules that are due are asked at once, share a forward, and there give
way to questions of users. While a visit is under way later chunks make no other.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from service.clock import Clock
from service.errors import ServiceError
from service.events import Event
from service.llm.engine import Finished, LLMEngine, Message, Question, Sampling
from service.metrics import Metrics
from service.rules.judge import RuleState, is_due, judge
from service.rules.outbox import Outbox
from service.sessions.record import ChunkRecord, Rule, SessionId
from service.sessions.store import SessionStore
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
    """The rules of all sessions that a replica owns; what it remembers of them is a cache."""

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
        self._states: dict[SessionId, dict[str, RuleState]] = {}
        self._visited: set[SessionId] = set()
        self._tasks = TaskSet()

    def see(self, session_id: SessionId, record: ChunkRecord) -> None:
        """A chunk is in context; never waits."""
        if session_id not in self._visited:
            self._visited.add(session_id)
            self._tasks.spawn(self._visit(session_id, record), name=f"rules {session_id}")

    def forget(self, session_id: SessionId) -> None:
        """The session is another replica's now, or over."""
        self._states.pop(session_id, None)

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
        rules = await self._store.rules(session_id)
        before = self._states.get(session_id, {})
        if not rules:
            self.forget(session_id)
            return
        states = {rule.id: before.get(rule.id, RuleState()) for rule in rules}
        self._states[session_id] = states
        now_s = self._clock()
        due = [rule for rule in rules if is_due(rule, states[rule.id], now_s)]
        ends = await asyncio.gather(*(self._ask(session_id, rule) for rule in due))
        for rule, end in zip(due, ends, strict=True):
            if end is None:
                self._metrics.rule_evaluations_total.labels(outcome="error").inc()
                continue
            (probability, _) = end.choices
            states[rule.id], fires = judge(rule, states[rule.id], probability, self._clock())
            outcome = "matched" if fires else "silent"
            self._metrics.rule_evaluations_total.labels(outcome=outcome).inc()
            if fires:
                await self._tell(session_id, rule, record, end)

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

    async def _tell(
        self, session_id: SessionId, rule: Rule, record: ChunkRecord, end: Finished
    ) -> None:
        now_s = self._clock()
        data = match_data(session_id, rule, record, end)
        await self._store.publish(Event("rule.matched", session_id, now_s, data))
        if rule.webhook_url is not None and self._outbox is not None:
            fields = {"type": "rule.matched", "session_id": session_id, "at_s": now_s, **data}
            self._outbox.post(rule.webhook_url, rule.webhook_secret, fields)


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
