"""Live streams into the running service, and what was told of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from clients.sdk import AsyncClient, errors
from clients.sdk.events import ChunkEvent, Event
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.models import TimelineChunk
from clients.sdk.publish import publish
from tests.eventually import eventually

# on a busy machine a killed replica takes long to start again
RECOVERED_S = 60.0
MODALITIES = {"video", "audio"}


@asynccontextmanager
async def live(client: AsyncClient, session_id: str, *, num_chunks: int = 2) -> AsyncIterator[None]:
    """Publish into the session; begins when so many chunks are in context."""

    async def stream() -> None:
        with open_synthetic() as source:
            await publish(client, session_id, source)

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(stream())
        await has_chunks(client, session_id, num_chunks)
        yield
        publishing.cancel()


async def has_chunks(client: AsyncClient, session_id: str, number: int) -> None:
    async def has() -> bool:
        try:
            return (await client.get_session(session_id)).chunks >= number
        except errors.OmniSiftError:
            return False

    await eventually(has, within_s=RECOVERED_S)


async def events(client: AsyncClient, session_id: str) -> list[Event]:
    """All that was told of the session, which this ends."""
    await client.end_session(session_id)
    async with aclosing(client.events(session_id)) as feed:
        return [event async for event in feed]


def indices(told: Sequence[Event]) -> list[int]:
    return [event.index for event in told if isinstance(event, ChunkEvent)]


def assert_covered(chunks: Sequence[TimelineChunk]) -> None:
    """What is not in the log is in a gap, in both modalities, and there is such a gap."""
    end_s = 0.0
    for chunk in chunks:
        if chunk.start_s > end_s:
            assert {gap.modality for gap in chunk.gaps if gap.start_s <= end_s} == MODALITIES, chunk
        end_s = chunk.end_s
    assert {gap.modality for chunk in chunks for gap in chunk.gaps} == MODALITIES
