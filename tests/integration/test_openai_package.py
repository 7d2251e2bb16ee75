"""The `openai` package, unmodified, on a session that streams through every deployment."""

import asyncio

import openai
import pytest

from clients.sdk import AsyncClient
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]

MESSAGES = [{"role": "user", "content": "what is seen?"}]


async def test_openai_client_talks_about_a_live_session(
    client: AsyncClient, service_url: str
) -> None:
    session = await client.create_session()
    about = {"model": "any", "messages": MESSAGES, "max_tokens": 4, "n": 1}
    extra = {"session_id": session.id}
    async with (
        openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key="none is needed") as chat,
        asyncio.TaskGroup() as group,
    ):
        publishing = group.create_task(stream(client, session.id))
        # before the first chunk it is told to come back, and does so by itself
        patient = chat.with_options(max_retries=5)
        whole = await patient.chat.completions.create(**about, extra_body=extra)
        parts = await chat.chat.completions.create(
            **about,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=extra,
        )
        chunks = [chunk async for chunk in parts]
        names = [model.id async for model in chat.models.list()]
        publishing.cancel()

    assert whole.model in names
    assert whole.usage is not None
    assert whole.usage.completion_tokens <= 4
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens > 0


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source, duration_s=30.0)
