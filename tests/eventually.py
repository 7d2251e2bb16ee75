"""Waiting for what other tasks do."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

WITHIN_S = 20.0  # far more than anything takes on a busy machine
PERIOD_S = 0.02


async def eventually(
    is_so: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within_s: float = WITHIN_S
) -> None:
    """Return once `is_so`; fail with `TimeoutError` if that takes longer than `within_s`."""
    async with asyncio.timeout(within_s):
        while True:
            found = is_so()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(PERIOD_S)
