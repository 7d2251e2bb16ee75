import pytest

from service.access.limits import KeyLimits, QuestionCounter
from service.errors import RateLimited
from service.settings import AuthSettings


def test_limits_are_those_that_the_settings_begin_with() -> None:
    auth = AuthSettings()

    assert (
        KeyLimits(auth.max_sessions, auth.questions_per_minute, auth.max_questions, auth.max_rules)
        == KeyLimits()
    )


def test_questions_at_once_are_limited_by_key() -> None:
    counter = QuestionCounter(KeyLimits(max_questions=2))
    counter.begin("alice", "q1", 0.0)
    counter.begin("alice", "q2", 0.0)

    with pytest.raises(RateLimited, match="2 questions at the same time"):
        counter.begin("alice", "q3", 0.0)

    counter.begin("bob", "q3", 0.0)
    assert counter.end("alice", "q1")
    assert not counter.end("alice", "q1")
    counter.begin("alice", "q3", 0.0)


def test_questions_a_minute_are_limited_and_the_wait_is_told() -> None:
    counter = QuestionCounter(KeyLimits(questions_per_minute=2))
    for at_s in (0.0, 10.0):
        counter.begin("alice", str(at_s), at_s)
        counter.end("alice", str(at_s))

    with pytest.raises(RateLimited) as caught:
        counter.begin("alice", "q", 20.0)

    assert caught.value.retry_after_s == 40.0
    counter.begin("alice", "q", 60.0)
