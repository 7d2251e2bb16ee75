"""A replica dies in the middle of a stream: the session goes on elsewhere, nothing is lost."""

import asyncio
from contextlib import aclosing

import pytest
import ray

from clients.sdk import AsyncClient
from clients.sdk.events import ChunkEvent
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from service.app import APP_NAME
from service.sessions.record import SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from tests.eventually import eventually

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


@pytest.mark.parametrize("stage", [Stage.LLM, Stage.COMPRESSOR])
async def test_session_survives_the_death_of_its_owner(
    client: AsyncClient, redis_of_service: str, stage: Stage
) -> None:
    session = await client.create_session()
    store = RedisSessionStore.connect(redis_of_service)

    async def has_chunks(number: int) -> bool:
        return (await client.get_session(session.id)).chunks >= number

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(stream(client, session.id))
        await eventually(lambda: has_chunks(2))
        before = (await store.get(SessionId(session.id))).owners[stage]
        kill(stage, before)
        answer = await client.ask(session.id, "still there?", max_tokens=4)
        await eventually(lambda: has_chunks(5))
        after = (await store.get(SessionId(session.id))).owners[stage]
        publishing.cancel()
    await client.end_session(session.id)
    await store.aclose()

    assert after != before
    assert answer.context_start_s == 0.0  # rebuilt from the log, from its first chunk on
    async with aclosing(client.events(session.id)) as feed:
        events = [event async for event in feed]
    indices = [event.index for event in events if isinstance(event, ChunkEvent)]
    assert indices == list(range(len(indices)))
    assert not [event for event in events if event.type == "dropped"]


def kill(stage: Stage, replica: str) -> None:
    deployment = {Stage.LLM: "LLM", Stage.COMPRESSOR: "Compressor"}[stage]
    actor = ray.get_actor(f"SERVE_REPLICA::{APP_NAME}#{deployment}#{replica}", namespace="serve")
    ray.kill(actor, no_restart=True)  # at once, as SIGKILL: no clean-up runs


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source)
