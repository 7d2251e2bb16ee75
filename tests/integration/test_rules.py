"""Watch rules and the timeline of a session that streams through every deployment."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from chaos.replicas import kill
from clients.sdk import AsyncClient, RuleEvent
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from service.sessions.record import SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from tests.eventually import eventually
from tests.integration.streams import events, live

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


async def test_rule_fires_on_a_live_stream_with_evidence(client: AsyncClient) -> None:
    session = await client.create_session()
    # so low a threshold that whatever the model says is a yes
    rule = await client.create_rule(session.id, "Did you hear a beep?", threshold=1e-6)

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(stream(client, session.id))
        async with asyncio.timeout(60), aclosing(client.events(session.id)) as feed:
            match = await anext(event async for event in feed if isinstance(event, RuleEvent))
        timeline = await client.timeline(session.id)
        picture = await client.thumbnail(session.id, match.index)
        publishing.cancel()

    assert (match.rule_id, match.condition) == (rule.id, rule.condition)
    assert match.thumbnail == f"/v1/sessions/{session.id}/chunks/{match.index}/thumbnail"
    assert picture.startswith(b"\xff\xd8")
    held = [chunk.held for chunk in timeline.chunks if chunk.index == match.index]
    assert held[0] is not None
    assert held[0].audio_tokens > 0


async def test_rule_that_goes_on_fires_once_though_its_replica_dies(
    client: AsyncClient, store: RedisSessionStore, session_id: str
) -> None:
    rule = await client.create_rule(
        session_id, "Did you hear a beep?", threshold=1e-6, cooldown_s=0
    )

    async def judged_by() -> int:
        ((_, state),) = await store.watched(SessionId(session_id))
        return state.index

    async with live(client, session_id):
        await eventually(lambda: is_at_least(judged_by, 1))
        owner = (await store.get(SessionId(session_id))).owners[Stage.LLM]
        kill("LLM", owner)
        before = await judged_by()
        await eventually(lambda: is_at_least(judged_by, before + 2))
        after = (await store.get(SessionId(session_id))).owners[Stage.LLM]

    told = await events(client, session_id)
    assert after != owner
    assert [event.rule_id for event in told if isinstance(event, RuleEvent)] == [rule.id]


async def is_at_least(read: Callable[[], Awaitable[int]], number: int) -> bool:
    return await read() >= number


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source, duration_s=60.0)
