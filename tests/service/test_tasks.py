import asyncio
import contextvars
import logging

import pytest

from service.tasks import TaskSet, detached


async def test_a_task_is_forgotten_when_it_ends() -> None:
    tasks = TaskSet()

    await tasks.spawn(asyncio.sleep(0), name="short")

    assert len(tasks) == 0


async def test_a_failure_is_logged_by_name_and_spares_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    tasks = TaskSet()
    other = tasks.spawn(asyncio.sleep(60), name="other")
    with caplog.at_level(logging.ERROR):
        failed = tasks.spawn(fail(), name="faulty")
        await asyncio.wait([failed])
        await asyncio.sleep(0)

    assert "task faulty failed" in caplog.text
    assert "broken" in caplog.text
    assert not other.done()
    await tasks.aclose()


async def test_closing_cancels_and_waits_for_clean_up() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    tasks = TaskSet()
    tasks.spawn(work(), name="work")
    await asyncio.sleep(0)
    await tasks.aclose()

    assert cleaned == [True]
    assert len(tasks) == 0


async def test_a_task_may_close_its_own_set() -> None:
    tasks = TaskSet()
    other = tasks.spawn(asyncio.sleep(60), name="other")

    await asyncio.wait_for(tasks.spawn(tasks.aclose(), name="closer"), timeout=5)

    assert other.cancelled()


async def test_tasks_do_not_inherit_the_context_of_a_request() -> None:
    request = contextvars.ContextVar("request", default="none")
    seen = []

    async def work() -> None:
        seen.append(request.get())

    request.set("r1")
    await TaskSet().spawn(work(), name="work")

    assert seen == ["none"]


async def test_detached_work_gives_its_result_and_sees_no_context() -> None:
    request = contextvars.ContextVar("request", default="none")

    async def work() -> str:
        return request.get()

    request.set("r1")

    assert await detached(work()) == "none"


async def test_detached_work_fails_and_is_cancelled_as_if_it_were_awaited() -> None:
    was_cancelled = []

    async def fail() -> None:
        raise ValueError("broken")

    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            was_cancelled.append(True)
            raise

    with pytest.raises(ValueError, match="broken"):
        await detached(fail())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await detached(hang())
    assert was_cancelled == [True]
