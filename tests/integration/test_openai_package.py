"""The `openai` package, unmodified, on streams and files that go through every deployment."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from chaos.replicas import kill
from clients.sdk import AsyncClient
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from service.demo.clip import make_clip
from service.sessions.record import SessionId
from service.sessions.redis_store import RedisSessionStore
from tests.clips import write_clip
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
    service_url: str, store: RedisSessionStore, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    assert clip.path.stat().st_size > 1 << 20  # it takes a place among the large bodies
    planned = clip.planned[-1]
    before = {session.id for session in await store.list()}

    async with openai.AsyncOpenAI(base_url=f"{service_url}/v1", api_key="none is needed") as chat:
        whole = await ask_about(chat, clip.path, planned.question)
        leaving = await ask_about(chat, clip.path, "what is seen?", stream=True, max_tokens=4000)
        await anext(leaving)  # its session may be over with it: the answer is short
        await leaving.close()
        await eventually(lambda: is_gone(store, before))

    assert whole.choices[0].message.content == planned.expected


@pytest.mark.long
@pytest.mark.parametrize("victim", ["Ingest", "Compressor", "LLM"])
async def test_file_is_answered_though_a_replica_dies_while_it_is_taken_in(
    service_url: str, store: RedisSessionStore, tmp_path: Path, victim: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", duration_s=60.0)
    before = {session.id for session in await store.list()}

    async def num_chunks() -> int:
        found = [session for session in await store.list() if session.id not in before]
        return found[0].num_chunks if found else 0

    async with (
        openai.AsyncOpenAI(
            base_url=f"{service_url}/v1", api_key="none is needed", max_retries=10
        ) as chat,
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(ask_about(chat, clip, "what is seen?", max_tokens=4))
        await eventually(lambda: is_above(num_chunks, 3))
        kill(victim)
        reply = await asking

    assert reply.usage.model_extra["stream"]["audio"]["in"] == 25 * 60
    await eventually(lambda: is_gone(store, before))


async def ask_about(chat: openai.AsyncOpenAI, path: Path, question: str, **fields: Any) -> Any:
    video = {"type": "video_url", "video_url": {"url": data_url(path)}}
    messages = [{"role": "user", "content": [video, {"type": "text", "text": question}]}]
    create: Any = chat.chat.completions.create  # its types know no video
    return await create(model="any", messages=messages, **fields)


def data_url(path: Path) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"


async def is_above(read: Callable[[], Awaitable[int]], number: int) -> bool:
    return await read() > number


async def is_gone(store: RedisSessionStore, before: set[SessionId]) -> bool:
    return {session.id for session in await store.list()} == before


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source, duration_s=30.0)
