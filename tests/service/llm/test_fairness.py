"""No session and no question holds up the others."""

from service.llm.config import EngineConfig
from service.llm.policy import Fifo
from tests.service.llm.desk import A, B, Desk, stream
from tests.service.llm.thinker import build_chunk, build_scheduler


def test_steps_stay_within_their_tokens() -> None:
    config = EngineConfig(num_pages=400, step_tokens=16, context_tokens=400, max_questions=8)
    desk = Desk(build_scheduler(config))
    desk.open(A, *stream(1))
    desk.open(B, *stream(2))
    for number in range(6):
        desk.ask(A, "what?", str(number))

    done = 0
    while desk.scheduler.has_work:
        desk.step()
        stats = desk.scheduler.stats()
        total = stats.decode_tokens + stats.chunk_tokens + stats.question_tokens
        assert 1 <= total - done <= 16
        done = total


def test_long_question_does_not_hold_up_another_session() -> None:
    config = EngineConfig(num_pages=400, step_tokens=16, context_tokens=400, max_questions=4)
    desk = Desk(build_scheduler(config))
    desk.open(A)
    desk.open(B)
    desk.run()
    desk.ask(A, "x" * 400)
    desk.step()

    desk.scheduler.append(B, stream(1)[0])
    steps = 0
    while not desk.chunks:
        desk.step()
        steps += 1

    assert steps <= 2 * -(-len(stream(1)[0].embeddings) // 16)


def test_many_questions_of_one_session_do_not_hold_up_another() -> None:
    config = EngineConfig(num_pages=400, step_tokens=32, context_tokens=400, max_questions=16)
    desk = Desk(build_scheduler(config))
    desk.open(A)
    desk.open(B)
    desk.run()
    for number in range(12):
        desk.ask(A, "x" * 100, str(number), max_tokens=1)
    desk.step()

    desk.scheduler.append(B, stream(1)[0])
    steps = 0
    while not desk.chunks:
        desk.step()
        steps += 1

    assert steps <= 1 + -(-len(stream(1)[0].embeddings) // 32)
    assert not desk.ends


def test_any_number_of_questions_ends_when_pages_are_few() -> None:
    config = EngineConfig(
        num_pages=24, step_tokens=64, context_tokens=150, max_questions=20, policy=Fifo()
    )
    desk = Desk(build_scheduler(config))
    desk.open(A, *stream(1))
    desk.run()
    for number in range(20):
        desk.ask(A, "what?", str(number), max_tokens=30)
    desk.scheduler.append(A, build_chunk(3, seed=1))

    desk.run()

    reasons = {desk.finished(str(number)).reason for number in range(20)}
    assert reasons == {"length"}
    assert not desk.chunk_errors
