"""Replicas that are told to stop: what is live moves, and nothing that was acknowledged is lost."""

import asyncio
from contextlib import aclosing
from itertools import pairwise

import pytest
from ray import serve

from chaos.replicas import pids
from clients.sdk import AsyncClient
from clients.sdk.events import Event
from service.app import APP_NAME, LOGGING, build_app
from service.sessions.record import SessionId
from service.sessions.redis_store import RedisSessionStore
from service.settings import Settings
from tests.camera import camera
from tests.eventually import eventually
from tests.free_port import free_port
from tests.integration.streams import has_chunks, indices, live

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]
DEPLOYMENTS = ("Api", "Compressor", "Encoder", "Ingest", "LLM")


async def test_stream_moves_through_a_rolling_update_of_everything(
    client: AsyncClient, session_id: str, settings: Settings, store: RedisSessionStore
) -> None:
    told: list[Event] = []

    async def watch() -> None:
        async with aclosing(client.events(session_id)) as feed:
            async for event in feed:
                told.append(event)

    watched = await client.create_session()
    old = {pid for name in DEPLOYMENTS for pid in pids(name).values()}
    async with (
        camera(free_port()) as url,
        live(client, session_id),
        asyncio.TaskGroup() as group,
    ):
        source = await client.add_source(watched.id, url)
        await has_chunks(client, watched.id, 1)
        watching = group.create_task(watch())
        await group.create_task(asyncio.to_thread(update, settings))
        new = {pid for name in DEPLOYMENTS for pid in pids(name).values()}
        record = await store.get(SessionId(session_id))
        await has_chunks(client, session_id, record.num_chunks + 1)
        seen = await client.get_session(watched.id)
        await has_chunks(client, watched.id, seen.chunks + 1)
        [moved] = await client.list_sources(watched.id)
        answer = await client.ask(session_id, "still there?", max_tokens=4)
        await eventually(lambda: "session.moving" in {event.type for event in told})
        watching.cancel()

    assert not old & new
    assert (moved.id, moved.state) == (source.id, "live")  # on a replica that it was not added on
    assert answer.context_start_s == 0.0
    timeline = (await client.timeline(session_id)).chunks
    logged = [chunk.index for chunk in timeline]
    assert logged == sorted(set(logged))
    assert set(indices(told)) <= set(logged)
    # what is not in the log is a gap that the chunk after it tells of
    for before, after in pairwise(timeline):
        if after.index > before.index + 1:
            assert min(gap.start_s for gap in after.gaps) <= before.end_s


def update(settings: Settings) -> None:
    serve.run(build_app(settings), name=APP_NAME, route_prefix="/", logging_config=LOGGING)
