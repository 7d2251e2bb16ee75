"""How much one API key may do, and the questions of one process counted against it. Pure."""

from collections import defaultdict, deque
from dataclasses import dataclass

from service.errors import RateLimited

MINUTE_S = 60.0
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of every key; a service without keys has none of them.

    Attributes:
        max_sessions: Open sessions.
        questions_per_minute: Questions begun in any 60 seconds.
        max_questions: Questions being answered at the same time.
        max_rules: Watch rules of all its open sessions.
    """

    max_sessions: int = 16
    questions_per_minute: int = 120
    max_questions: int = 8
    max_rules: int = 64


class QuestionCounter:
    """Counts questions by key; holds no more of a key than its limits allow."""

    def __init__(self, limits: KeyLimits) -> None:
        self._limits = limits
        self._running: defaultdict[str, set[str]] = defaultdict(set)
        self._begun_s: defaultdict[str, deque[float]] = defaultdict(deque)

    def begin(self, key_id: str, question_id: str, now_s: float) -> None:
        """Count a question.

        Raises:
            RateLimited: The key has asked too much in the last minute, or too much at once.
        """
        running, begun_s = self._running[key_id], self._begun_s[key_id]
        while begun_s and begun_s[0] <= now_s - MINUTE_S:
            begun_s.popleft()
        if len(running) >= self._limits.max_questions:
            raise self.too_many_at_once(self._limits)
        if len(begun_s) >= self._limits.questions_per_minute:
            raise self.too_many_a_minute(self._limits, wait_s=begun_s[0] + MINUTE_S - now_s)
        running.add(question_id)
        begun_s.append(now_s)

    def end(self, key_id: str, question_id: str) -> bool:
        """Whether the question was counted here as running; it is no longer."""
        if question_id not in self._running[key_id]:
            return False
        self._running[key_id].remove(question_id)
        return True

    @staticmethod
    def too_many_at_once(limits: KeyLimits) -> RateLimited:
        return RateLimited(
            what="questions at the same time", limit=limits.max_questions, retry_after_s=RETRY_S
        )

    @staticmethod
    def too_many_a_minute(limits: KeyLimits, *, wait_s: float) -> RateLimited:
        return RateLimited(
            what="questions a minute",
            limit=limits.questions_per_minute,
            retry_after_s=round(wait_s, 1),
        )


__all__ = ["KeyLimits", "QuestionCounter"]
