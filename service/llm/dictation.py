"""One answer as it is given: what is remembered of it and what is measured."""

from dataclasses import asdict, replace

from service.clock import Clock
from service.events import Event
from service.llm.engine import Finished, Question, TokenDelta
from service.metrics import Metrics
from service.sessions.record import Manner, SessionId, Turn
from service.sessions.store import SessionStore


class Dictation:
    """Takes down an answer, from the arrival of its question.

    Attributes:
        context_end_s: Stream time up to which the answer can have seen, until its end says more.
    """

    def __init__(self, session_id: SessionId, question: Question, clock: Clock) -> None:
        self.context_end_s = 0.0
        self._session_id = session_id
        self._question = question
        self._clock = clock
        self._asked_at_s = clock()
        self._first_at_s: float | None = None
        self._texts: list[str] = []
        self._end: Finished | None = None

    def take(self, delta: TokenDelta) -> TokenDelta:
        """Take down the next token; returns it."""
        if self._first_at_s is None:
            self._first_at_s = self._clock()
        self._texts.append(delta.text)
        return delta

    def finish(self, end: Finished) -> Finished:
        """Take down the end; returns it with times counted from the question's arrival."""
        duration_s = self._clock() - self._asked_at_s
        self._end = replace(end, ttft_s=self._ttft_s, duration_s=duration_s)
        return self._end

    def turn(self, outcome: str) -> Turn:
        """Return what is remembered; `outcome` counts if the answer came to no end of its own."""
        end = self._end
        return Turn(
            id=self._question.id,
            question=self._question.messages[-1].content,
            answer="".join(self._texts) if end is None else end.text,
            asked_at_s=self._asked_at_s,
            context_end_s=self.context_end_s if end is None else end.context_end_s,
            finish_reason=outcome if end is None else end.reason,
            ttft_s=self._ttft_s,
            duration_s=self._clock() - self._asked_at_s if end is None else end.duration_s,
            prompt_tokens=0 if end is None else end.prompt_tokens,
            completion_tokens=len(self._texts) if end is None else end.completion_tokens,
            manner=self._manner(),
        )

    def _manner(self) -> Manner:
        question, sampling = self._question, self._question.sampling
        return Manner(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            stop=sampling.stop,
            window_s=question.window_s,
            at_s=question.at_s,
            reached_s=self.context_end_s,
            num_messages=len(question.messages),
        )

    async def store(self, turn: Turn, store: SessionStore) -> None:
        """Remember the turn and tell the session's watchers."""
        await store.add_turn(self._session_id, turn)
        await store.publish(Event("turn", self._session_id, self._clock(), asdict(turn)))

    @property
    def _ttft_s(self) -> float | None:
        return None if self._first_at_s is None else self._first_at_s - self._asked_at_s


def measure(turn: Turn, metrics: Metrics) -> None:
    """Count an answer."""
    metrics.queries_total.labels(outcome=turn.finish_reason).inc()
    metrics.query_duration_seconds.observe(turn.duration_s)
    metrics.generated_tokens_total.inc(turn.completion_tokens)
    if turn.ttft_s is not None:
        metrics.query_ttft_seconds.observe(turn.ttft_s)
