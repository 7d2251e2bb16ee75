"""When chunks and questions of many streams arrive. Pure; knows nothing about what serves them."""

from dataclasses import dataclass

from service.media.chunk import CHUNK_S

QUESTION_PERIOD_S = 30.0  # of one stream: two questions a minute


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """A chunk that is complete, or a question.

    Attributes:
        at_s: When, seconds since the start of the run; of a chunk, the end of its media.
        stream: Number of the stream, from 0.
        is_question: Whether it is a question.
    """

    at_s: float
    stream: int
    is_question: bool


def arrivals(num_streams: int, num_periods: int) -> list[Arrival]:
    """List what arrives while each stream completes `num_periods` chunks, in order of time.

    Streams started at evenly spread moments, so their chunks end evenly spread over each 2 s.
    Questions come evenly spread as well, `num_streams` of them in 30 s, from streams in turn.
    """
    span_s = num_periods * CHUNK_S
    chunks = [
        Arrival(period * CHUNK_S + stream * CHUNK_S / num_streams, stream, is_question=False)
        for period in range(num_periods)
        for stream in range(num_streams)
    ]
    gap_s = QUESTION_PERIOD_S / num_streams
    num_questions = int(span_s / gap_s + 0.5)
    questions = [
        Arrival((number + 0.5) * gap_s, number % num_streams, is_question=True)
        for number in range(num_questions)
    ]
    return sorted(chunks + questions)


__all__ = ["QUESTION_PERIOD_S", "Arrival", "arrivals"]
