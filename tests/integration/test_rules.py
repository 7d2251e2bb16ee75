"""Watch rules and the timeline of a session that streams through every deployment."""

import asyncio
from contextlib import aclosing

import pytest

from clients.sdk import AsyncClient, RuleEvent
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish

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


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source, duration_s=60.0)
