import asyncio

import pytest

from compressor.pipeline import StreamState
from service.compression.held import HeldSession, HeldSessions, Sequel
from service.errors import AtCapacity
from service.sessions.record import SessionId

A, B, C = SessionId("a"), SessionId("b"), SessionId("c")


async def load(
    held: HeldSessions, session_id: SessionId, now_s: float = 0.0, epoch: int = 1
) -> None:
    async with held.use(session_id, now_s) as session:
        session.epoch = epoch


async def is_held(held: HeldSessions, session_id: SessionId, now_s: float = 0.0) -> bool:
    async with held.use(session_id, now_s) as session:
        return session.epoch > 0


async def test_loaded_session_is_remembered_and_others_are_not() -> None:
    held = HeldSessions(max_sessions=4, idle_s=10.0)

    await load(held, A)
    async with held.use(B, 0.0):
        assert len(held) == 2

    assert len(held) == 1
    assert await is_held(held, A)


async def test_least_recently_used_gives_way() -> None:
    held = HeldSessions(max_sessions=2, idle_s=10.0)
    await load(held, A)
    await load(held, B)
    await load(held, A)

    await load(held, C)

    assert len(held) == 2
    assert await is_held(held, A)
    assert not await is_held(held, B)


async def test_session_in_use_never_gives_way() -> None:
    held = HeldSessions(max_sessions=2, idle_s=10.0)
    await load(held, B)
    async with held.use(A, 0.0):
        await load(held, C)

        assert len(held) == 2
        async with held.use(C, 0.0):
            with pytest.raises(AtCapacity):
                await load(held, B)
        held.drop_idle(1000.0)
        assert len(held) == 1


async def test_idle_sessions_are_dropped_in_their_time() -> None:
    held = HeldSessions(max_sessions=4, idle_s=10.0)
    await load(held, A, now_s=0.0)
    await load(held, B, now_s=5.0)

    held.drop_idle(9.9)
    assert len(held) == 2
    held.drop_idle(10.0)

    assert len(held) == 1
    assert await is_held(held, B, now_s=5.0)


async def test_calls_of_one_session_go_one_by_one_in_order() -> None:
    held = HeldSessions(max_sessions=1, idle_s=10.0)
    order: list[int] = []

    async def call(number: int) -> None:
        async with held.use(A, 0.0) as session:
            # what the call before it found is forgotten, but the session and its lock are shared
            order.append(number)
            await asyncio.sleep(0)
            session.forget()
            order.append(number)

    await asyncio.gather(*(call(number) for number in range(4)))

    assert order == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(held) == 0


async def test_failure_and_cancellation_let_go() -> None:
    held = HeldSessions(max_sessions=1, idle_s=10.0)
    with pytest.raises(ValueError, match="boom"):
        async with held.use(A, 0.0):
            raise ValueError("boom")
    async with held.use(A, 0.0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await load(held, A)
    assert len(held) == 0

    await load(held, B)

    assert await is_held(held, B)


@pytest.mark.parametrize(("last_index", "heard_until_s"), [(4, 9.0), (3, 1.0)])
def test_unsettled_chunk_counts_once_it_is_in_the_log(
    last_index: int, heard_until_s: float
) -> None:
    session = HeldSession(epoch=1, last_index=3, heard_until_s=1.0)
    session.unsettled = Sequel(4, StreamState(), 9.0)

    session.settle(last_index)

    assert (session.last_index, session.heard_until_s) == (last_index, heard_until_s)
    assert session.unsettled is None
