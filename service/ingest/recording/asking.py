"""Whether a recorded question can be asked again, and how. Pure; believes the recording nothing."""

from service.ingest.recording.journal import Asked
from service.llm.engine import Message, Question, Sampling
from service.sessions.record import Manner

GREEDY = Manner()  # as before a recording told
MAX_TOKENS = 4096  # what the API allows
MAX_TEMPERATURE = 2.0
MAX_STOPS = 4


def why_not_again(asked: Asked) -> str | None:
    """Why the answer could be the same by chance only; None where asking again tells something."""
    manner = asked.manner or GREEDY
    if not _is_possible(manner):
        return "no question can be asked like this: the recording is wrong"
    if manner.num_messages > 1:
        return "it ended a conversation, of which only the question is recorded"
    if manner.temperature > 0 and manner.seed is None:
        return f"it was drawn at random (temperature {manner.temperature:g}, no seed)"
    return None


def question_again(asked: Asked, question_id: str) -> Question:
    """The question as it was asked."""
    manner = asked.manner or GREEDY
    sampling = Sampling(
        max_tokens=max(1, min(asked.completion_tokens, MAX_TOKENS)),
        temperature=manner.temperature,
        top_p=manner.top_p,
        seed=manner.seed,
        stop=manner.stop,
    )
    message = Message("user", asked.question)
    return Question(question_id, (message,), sampling, window_s=manner.window_s, at_s=manner.at_s)


def _is_possible(manner: Manner) -> bool:
    """The limits that the API sets; nothing that is no number is within them."""
    spans = [span_s for span_s in (manner.window_s, manner.at_s) if span_s is not None]
    return (
        0 <= manner.temperature <= MAX_TEMPERATURE
        and 0 < manner.top_p <= 1
        and (manner.seed is None or manner.seed >= 0)
        and len(manner.stop) <= MAX_STOPS
        and all(span_s > 0 for span_s in spans)
    )


__all__ = ["question_again", "why_not_again"]
