"""Errors of ours as values between replicas.

Ray logs a traceback for every exception that leaves a replica and wraps it in one of its own. A
`ServiceError` is an ordinary answer, so it travels as a value and is raised again by the caller.
"""

from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from service.errors import ServiceError
from service.tracing import note

Result = TypeVar("Result")


async def answer(call: Awaitable[Result]) -> Result | ServiceError:
    """The call's result, or the service error that it raised."""
    try:
        return await call
    except ServiceError as error:
        note(error__type=error.code)
        return error


async def answers(items: AsyncIterator[Result]) -> AsyncIterator[Result | ServiceError]:
    """The items, and as the last one the service error that ended them, if any."""
    try:
        async for item in items:
            yield item
    except ServiceError as error:
        note(error__type=error.code)
        yield error


def unpack(result: Result | ServiceError) -> Result:
    """The result; raises it where it is an error."""
    if isinstance(result, ServiceError):
        raise result
    return result
