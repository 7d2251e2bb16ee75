"""Outcomes reach those who wait, on whatever event loop."""

import asyncio
from concurrent.futures import Future

import pytest

from service.errors import BadRequest, EngineUnavailable
from service.llm.delivery import Delivery, Stream, resolve, send
from service.llm.engine import Finished, TokenDelta
from service.llm.jobs import ChunkOutcome, QuestionOutcome
from service.sessions.record import SessionId

A, B = SessionId("a"), SessionId("b")
END = Finished("x", "stop", 1, 1, 0.0, 2.0, 0.1, 0.2)


def stream() -> Stream:
    return Stream(asyncio.get_running_loop(), asyncio.Queue())


async def received(stream: Stream) -> list[object]:
    await asyncio.sleep(0)
    return [stream.items.get_nowait() for _ in range(stream.items.qsize())]


def test_chunk_is_resolved_for_its_own_session() -> None:
    delivery = Delivery()
    done: dict[SessionId, Future[None]] = {A: Future(), B: Future()}
    for session_id, future in done.items():
        delivery.expect_chunk(session_id, 3, future)

    delivery.deliver([ChunkOutcome(A, 3)])

    assert done[A].done()
    assert not done[B].done()


def test_failed_chunk_raises_where_it_is_waited_for() -> None:
    delivery = Delivery()
    done: Future[None] = Future()
    delivery.expect_chunk(A, 3, done)

    delivery.deliver([ChunkOutcome(A, 3, BadRequest("no"))])

    with pytest.raises(BadRequest, match="no"):
        done.result()


async def test_items_arrive_in_order_and_the_last_ends_the_stream() -> None:
    delivery, mine = Delivery(), stream()
    delivery.expect_answer("q", mine)
    items = [TokenDelta("x", 1), TokenDelta("y", 2), END]

    for item in items:
        assert delivery.is_expected_by(mine, "q")
        assert delivery.deliver([QuestionOutcome("q", item)]) == []

    assert await received(mine) == items
    assert not delivery.is_expected_by(mine, "q")


async def test_streams_are_told_apart_by_identity() -> None:
    delivery = Delivery()
    delivery.expect_answer("q", stream())

    assert not delivery.is_expected_by(stream(), "q")
    assert not delivery.is_expected_by(stream(), "other")


async def test_questions_of_a_closed_loop_are_named() -> None:
    delivery, mine = Delivery(), stream()
    loop = asyncio.new_event_loop()
    loop.close()
    delivery.expect_answer("lost", Stream(loop, asyncio.Queue()))
    delivery.expect_answer("mine", mine)

    abandoned = delivery.deliver(
        [QuestionOutcome(name, TokenDelta("x", 1)) for name in ("lost", "mine")]
    )

    assert abandoned == ["lost"]
    assert await received(mine) == [TokenDelta("x", 1)]


async def test_everyone_is_told_of_the_end() -> None:
    delivery, mine = Delivery(), stream()
    done: Future[None] = Future()
    delivery.expect_chunk(A, 3, done)
    delivery.expect_answer("q", mine)
    error = EngineUnavailable("over")

    delivery.fail_all(error)

    assert done.exception() is error
    assert await received(mine) == [error]


def test_cancelled_waiter_is_left_alone() -> None:
    done: Future[None] = Future()
    done.cancel()

    resolve(done, BadRequest("no"))

    assert done.cancelled()


async def test_sending_to_a_closed_loop_says_so() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    assert send([(Stream(loop, asyncio.Queue()), END)]) == {loop}
