"""How much one API key may do. Plain values; counted by `service.sessions.quotas`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of every key; a service without keys has none of them.

    Attributes:
        max_sessions: Open sessions.
        questions_per_minute: Questions begun in any 60 seconds.
        max_questions: Questions being answered at the same time.
    """

    max_sessions: int = 16
    questions_per_minute: int = 120
    max_questions: int = 8


__all__ = ["KeyLimits"]
