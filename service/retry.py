"""What may be worth repeating: deadlines, backoff, when to give up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from service.errors import DeadlineExceeded, ServiceError, StoreUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How long to insist.

    Attributes:
        attempt_s: One call may take this long.
        deadline_s: No call begins later than this after the first.
        first_backoff_s: Pause before the second call; each next one is twice as long.
        max_backoff_s: Longest pause.
    """

    attempt_s: float = 10.0
    deadline_s: float = 20.0
    first_backoff_s: float = 0.1
    max_backoff_s: float = 2.0


def backoffs(config: RetryConfig) -> Iterator[float]:
    """Pauses between one attempt and the next, in seconds; without end."""
    backoff_s = config.first_backoff_s
    while True:
        yield backoff_s
        backoff_s = min(2 * backoff_s, config.max_backoff_s)


async def insist(
    call: Callable[[], Awaitable[Result]], *, stage: str, config: RetryConfig
) -> Result:
    """Call an idempotent stage until it answers.

    While the store is away the deadline does not count: nothing can be logged anyway, and what
    waits is bounded by the caller.

    Raises:
        ServiceError: The last failure, when it is not retryable or the deadline has passed;
            `DeadlineExceeded` for a call that took too long.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + config.deadline_s
    for backoff_s in backoffs(config):
        try:
            async with asyncio.timeout(config.attempt_s):
                return await call()
        except TimeoutError as error:
            failure: ServiceError = DeadlineExceeded(stage=stage, limit_s=config.attempt_s)
            failure.__cause__ = error
        except ServiceError as error:
            failure = error
        is_late = loop.time() + backoff_s > end_s and not isinstance(failure, StoreUnavailable)
        if is_late or not failure.is_retryable:
            raise failure
        await asyncio.sleep(backoff_s)
    raise AssertionError("unreachable: the pauses have no end")


__all__ = ["RetryConfig", "backoffs", "insist"]
