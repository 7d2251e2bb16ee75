"""The `openai` package, unmodified, on streams and files that go through every deployment."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import openai
import pytest

from clients.sdk import AsyncClient
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from service.demo.clip import make_clip
from service.sessions.redis_store import RedisSessionStore
from tests.eventually import eventually

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


async def test_openai_client_asks_about_a_file(
    client: AsyncClient, service_url: str, store: RedisSessionStore, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    encoded = base64.b64encode(clip.path.read_bytes()).decode()
    assert len(encoded) > 1 << 20  # it takes a place among the large bodies
    video = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{encoded}"}}
    before = {session.id for session in await store.list()}

    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key="none is needed") as chat:

        async def ask(question: str, **fields: Any) -> Any:
            content = [video, {"type": "text", "text": question}]
            messages = [{"role": "user", "content": content}]
            return await chat.chat.completions.create(model="any", messages=messages, **fields)

        whole = await ask(clip.planned[-1].question)
        leaving = await ask("what is seen?", stream=True, max_tokens=4000)
        await anext(leaving)
        assert {session.id for session in await store.list()} > before
        await leaving.close()

        async def is_gone() -> bool:
            return {session.id for session in await store.list()} == before

        await eventually(is_gone)

    assert whole.choices[0].message.content == clip.planned[-1].expected


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source, duration_s=30.0)
