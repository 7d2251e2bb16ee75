import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    ServiceError,
    SessionNotFound,
    StoreUnavailable,
)
from service.retry import RetryConfig, insist

QUICK = RetryConfig(attempt_s=0.05, deadline_s=0.1, first_backoff_s=0.01, max_backoff_s=0.02)


def failing(errors: list[ServiceError]) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return call


async def test_retryable_failures_are_repeated_until_success() -> None:
    errors: list[ServiceError] = [EngineUnavailable("busy"), EngineUnavailable("busy")]

    assert await insist(failing(errors), stage="prefill", config=QUICK) == "done"


async def test_a_final_failure_is_raised_at_once() -> None:
    errors: list[ServiceError] = [SessionNotFound("s"), SessionNotFound("s")]

    with pytest.raises(SessionNotFound):
        await insist(failing(errors), stage="compress", config=QUICK)

    assert len(errors) == 1


async def test_insisting_ends_at_the_deadline() -> None:
    errors: list[ServiceError] = [EngineUnavailable("busy") for _ in range(1000)]

    with pytest.raises(EngineUnavailable):
        await insist(failing(errors), stage="prefill", config=QUICK)

    # 6 calls, at 0, 0.01, 0.03, 0.05, 0.07 and 0.09 s; fewer where the machine is slow
    assert 994 <= len(errors) <= 998


async def test_a_lost_store_is_waited_for_beyond_the_deadline() -> None:
    errors: list[ServiceError] = [StoreUnavailable("gone") for _ in range(12)]

    assert await insist(failing(errors), stage="compress", config=QUICK) == "done"


async def test_a_call_that_hangs_fails_with_its_stage_and_limit() -> None:
    with pytest.raises(DeadlineExceeded, match=r"encode took longer than 0\.05 s"):
        await insist(lambda: asyncio.sleep(60), stage="encode", config=QUICK)


async def test_cancellation_is_not_a_failure_to_repeat() -> None:
    task = asyncio.create_task(insist(lambda: asyncio.sleep(60), stage="encode", config=QUICK))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
