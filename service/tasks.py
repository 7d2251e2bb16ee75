"""Tasks with an owner: named, logged when they fail, cancelled when the owner closes."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class TaskSet:
    """The tasks of one owner, each in an empty context.

    A task started while a request is served would carry that request's context for its whole
    life, and with it everything that is keyed by request (a router's pending calls, a trace).

    Not for work whose failure must fail the caller: use `asyncio.TaskGroup` there.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
        """Start `work`; its failure is logged under `name` and touches no other task."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=name, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def aclose(self) -> None:
        """Cancel all tasks but the calling one and wait until they have ended."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.error("task %s failed", task.get_name(), exc_info=error)


async def detached(work: Coroutine[object, object, Result]) -> Result:
    """Await `work` in an empty context, for calls that leave tasks of their own behind."""
    return await asyncio.get_running_loop().create_task(work, context=contextvars.Context())


__all__ = ["TaskSet", "detached"]
