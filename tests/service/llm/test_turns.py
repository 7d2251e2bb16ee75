"""Who works in a step, and how much."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from service.llm.engine import Message, Question
from service.llm.turns import plan_turns, take_turns
from tests.service.llm.jobs import ask, open_session, receive_first
from tests.service.llm.thinker import build_chunk, build_forward


@dataclass(frozen=True)
class Work:
    name: str
    num_left: int


def shares(queues: list[list[Work]], max_tokens: int) -> list[tuple[str, int]]:
    return [(work.name, num) for work, num in take_turns(queues, max_tokens)]


def test_every_queue_has_its_turn_before_any_has_two() -> None:
    queues = [[Work("a1", 10), Work("a2", 10)], [Work("b1", 10)], [Work("c1", 10), Work("c2", 5)]]

    assert shares(queues, 100) == [("a1", 10), ("b1", 10), ("c1", 10), ("a2", 10), ("c2", 5)]


def test_job_that_does_not_fit_is_begun() -> None:
    assert shares([[Work("a", 10)], [Work("b", 10)], [Work("c", 10)]], 15) == [("a", 10), ("b", 5)]


def test_without_tokens_nobody_works() -> None:
    assert shares([[Work("a", 10)]], 0) == []


@given(st.lists(st.lists(st.integers(1, 40), max_size=4), max_size=5), st.integers(0, 100))
def test_tokens_are_used_up_and_never_exceeded(sizes: list[list[int]], max_tokens: int) -> None:
    queues = [[Work(str(size), size) for size in queue] for queue in sizes]

    taken = take_turns(queues, max_tokens)

    total = sum(num for _, num in taken)
    assert total == min(max_tokens, sum(map(sum, sizes)))
    assert all(1 <= num <= work.num_left for work, num in taken)
    assert sum(num < work.num_left for work, num in taken) <= 1


def test_decodes_come_first_and_whole() -> None:
    forward = build_forward()
    sessions = [open_session(forward, name) for name in "ab"]
    answering = ask(sessions[0])
    receive_first(answering)
    for session in sessions:
        session.chunks.append((build_chunk(0),))
        session.start(session.context.begin(*session.chunks[0]))

    turns = plan_turns(sessions, [answering], max_tokens=5)

    assert [(turn.owner, turn.num_tokens) for turn in turns] == [(answering, 1), (sessions[0], 4)]
    assert [turn.segment().needs_logits for turn in turns] == [True, False]


def test_sessions_served_longest_ago_come_first_and_questions_before_chunks() -> None:
    forward = build_forward()
    sessions = [open_session(forward, name) for name in "abc"]
    for session, last_served in zip(sessions, (7, 5, 6), strict=True):
        session.last_served = last_served
    question = ask(sessions[2])
    waiting = ask(sessions[0], Question("other", (Message("user", "?"),)), start=False)
    for session in sessions:
        session.chunks.append((build_chunk(0),))
        session.start(session.context.begin(*session.chunks[0]))

    turns = plan_turns(sessions, [waiting, question], max_tokens=1000)

    assert [turn.owner for turn in turns] == [sessions[1], question, sessions[0], sessions[2]]
    assert all(turn.is_last for turn in turns)


def test_only_the_last_part_of_a_question_needs_logits() -> None:
    session = open_session(build_forward(), "a")
    question = ask(session)

    first = plan_turns([session], [question], max_tokens=question.num_left - 1)
    assert not first[0].segment().needs_logits

    question.advance(first[0].num_tokens)
    assert plan_turns([session], [question], max_tokens=50)[0].segment().needs_logits
