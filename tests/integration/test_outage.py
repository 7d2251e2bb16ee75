"""Redis dies in the middle of a stream and comes back with its data: nothing is lost."""

import asyncio
import time
from contextlib import aclosing

import pytest

from clients.sdk import AsyncClient, errors
from clients.sdk.events import ChunkEvent, DroppedEvent, Event
from service.sessions.redis_server import RedisServer
from tests.eventually import eventually
from tests.integration.streams import has_chunks, indices, live

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


async def test_stream_and_questions_go_on_without_redis_and_nothing_is_lost(
    client: AsyncClient, session_id: str, own_redis: RedisServer
) -> None:
    told: list[Event] = []

    async def watch() -> None:
        async with aclosing(client.events(session_id)) as feed:
            async for event in feed:
                told.append(event)

    async with live(client, session_id), asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await client.ask(session_id, "before?", max_tokens=4)
        before = (await client.get_session(session_id)).chunks
        own_redis.kill()
        try:
            began_s = time.monotonic()
            with pytest.raises(errors.Unavailable) as refused:
                await client.create_session()
            refused_s = time.monotonic() - began_s
            answer = await client.ask(session_id, "meanwhile?", max_tokens=4)
            await asyncio.sleep(3.0)  # a chunk or two come to wait
        finally:
            await asyncio.to_thread(own_redis.start)
        await has_chunks(client, session_id, before + 3)
        num_chunks = (await client.get_session(session_id)).chunks
        await eventually(lambda: len(indices(told)) >= num_chunks)
        watching.cancel()

    assert refused.value.code == "store_unavailable"
    assert refused.value.retry_after_s is not None
    assert refused_s < 5.0
    assert answer.context_end_s >= 2.0
    assert indices(told) == list(range(len(indices(told))))
    assert not [event for event in told if isinstance(event, DroppedEvent)]
    logged = [chunk.index for chunk in (await client.timeline(session_id)).chunks]
    assert logged == list(range(len(logged)))
    assert max(event.lag_s for event in told if isinstance(event, ChunkEvent)) > 1.0
