import asyncio
import contextvars
import logging

import pytest

from service.tasks import TaskSet


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
