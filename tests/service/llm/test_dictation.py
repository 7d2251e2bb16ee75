"""What is remembered and measured of an answer, however it ends."""

import json
from dataclasses import asdict, replace

import pytest

from service.llm.dictation import Dictation, measure
from service.llm.engine import Finished, Message, Question, Sampling, TokenDelta
from service.metrics import Metrics
from service.sessions.record import Manner, SessionConfig, SessionId
from service.sessions.redis_store import RedisSessionStore

SESSION = SessionId("s")
QUESTION = Question("q", (Message("user", "hi"), Message("assistant", "?"), Message("user", "now")))
END = Finished("ab", "stop", 40, 2, 0.0, 6.0, ttft_s=0.001, duration_s=0.002)


class Clock:
    """Advances by a quarter of a second per look."""

    def __init__(self) -> None:
        self.now_s = 99.75

    def __call__(self) -> float:
        self.now_s += 0.25
        return self.now_s


def test_finished_answer_is_remembered_with_times_from_its_arrival() -> None:
    dictation = Dictation(SESSION, QUESTION, Clock())
    for text in "ab":
        delta = TokenDelta(text, ord(text))
        assert dictation.take(delta) is delta

    end = dictation.finish(END)
    turn = dictation.turn("cancelled")

    assert (end.ttft_s, end.duration_s) == (0.25, 0.5)
    assert (end.text, end.prompt_tokens) == ("ab", 40)
    assert (turn.id, turn.question, turn.answer, turn.finish_reason) == ("q", "now", "ab", "stop")
    assert (turn.asked_at_s, turn.ttft_s, turn.duration_s) == (100.0, 0.25, 0.5)
    assert (turn.context_end_s, turn.prompt_tokens, turn.completion_tokens) == (6.0, 40, 2)


@pytest.mark.parametrize("outcome", ["cancelled", "error"])
def test_answer_cut_short_is_remembered_as_far_as_it_went(outcome: str) -> None:
    dictation = Dictation(SESSION, QUESTION, Clock())
    dictation.context_end_s = 4.0
    dictation.take(TokenDelta("a", 97))

    turn = dictation.turn(outcome)

    assert (turn.answer, turn.finish_reason, turn.completion_tokens) == ("a", outcome, 1)
    assert (turn.context_end_s, turn.ttft_s, turn.duration_s) == (4.0, 0.25, 0.5)


def test_answer_without_a_token_has_no_first_one() -> None:
    assert Dictation(SESSION, QUESTION, Clock()).turn("cancelled").ttft_s is None


async def test_turn_is_stored_and_told(redis_url: str) -> None:
    store = RedisSessionStore.connect(redis_url)
    await store.create(SESSION, SessionConfig("full"), now_s=1.0)
    dictation = Dictation(SESSION, QUESTION, Clock())
    turn = dictation.turn("cancelled")

    await dictation.store(turn, store)

    assert await store.turns(SESSION) == [turn]
    [(_, event)] = await store.events(SESSION, after=None, block_s=0)
    assert (event.type, event.data) == ("turn", json.loads(json.dumps(asdict(turn))))
    await store.aclose()


def test_answers_are_counted_by_their_end() -> None:
    metrics = Metrics()
    dictation = Dictation(SESSION, QUESTION, Clock())
    dictation.take(TokenDelta("a", 97))

    measure(dictation.turn("cancelled"), metrics)
    measure(Dictation(SESSION, QUESTION, Clock()).turn("error"), metrics)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert value("omnisift_queries_total", outcome="cancelled") == 1
    assert value("omnisift_queries_total", outcome="error") == 1
    assert value("omnisift_generated_tokens_total") == 1
    assert value("omnisift_query_ttft_seconds_count") == 1
    assert value("omnisift_query_duration_seconds_count") == 2


def test_how_it_was_asked_is_remembered() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, seed=3, stop=(".",))
    question = replace(QUESTION, sampling=sampling, window_s=4.0, at_s=2.0)
    dictation = Dictation(SESSION, question, Clock())
    dictation.context_end_s = 8.0

    dictation.finish(END)

    assert dictation.turn("stop").manner == Manner(0.5, 0.9, 3, (".",), 4.0, 2.0, 8.0, 3)
