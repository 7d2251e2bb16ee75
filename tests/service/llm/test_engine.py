"""Questions and answers cross process borders."""

import pickle

import pytest

from service.llm.engine import EngineStats, Finished, Message, Question, Sampling, TokenDelta
from service.sessions.record import SessionId


@pytest.mark.parametrize(
    "value",
    [
        Question("q", (Message("user", "what?"),), Sampling(seed=1, stop=("a",)), window_s=4.0),
        TokenDelta("é", 195),
        Finished("text", "stop", 10, 2, 0.0, 4.0, 0.1, 0.2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_survives_pickling(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_defaults_are_greedy_over_all_that_is_held() -> None:
    question = Question("q", (Message("user", "what?"),))

    assert question.sampling == Sampling(max_tokens=128, temperature=0.0, top_p=1.0)
    assert question.window_s is None


def test_stats_add_up() -> None:
    stats = EngineStats(
        running=1,
        waiting=0,
        pages_total=10,
        pages_free=4,
        room_tokens=0,
        context_tokens={SessionId("a"): 5, SessionId("b"): 0},
        video_tokens=3,
        audio_tokens=2,
        context_s=2.0,
        forgotten_units={},
        forgotten_tokens={},
        steps=3,
        decode_tokens=1,
        chunk_tokens=5,
        question_tokens=2,
    )

    assert (stats.pages_used, stats.sessions) == (6, 2)
