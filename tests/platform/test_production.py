"""The production config on this machine: it starts, follows live sessions, and they go on."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing

import httpx
import pytest

from clients.sdk import AsyncClient
from clients.sdk.events import ChunkEvent
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from compressor.omni.checkpoint import load_config
from compressor.weights import EMBEDDED_MODEL
from tests.eventually import eventually
from tests.platform.kustomize import ROOT
from tests.platform.production import token
from tests.platform.promtool import promtool

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]

# of what the embedded model was trained with, a part is left for the question
TRAINED_S = 0.8 * load_config(EMBEDDED_MODEL).trained_stream_s
WITHIN_S = 120.0  # a replica starts in seconds, on a busy machine in a minute


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Base URL of the production overlay, scaled down."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.platform.production"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **token()},
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), process.stderr.read()
        yield line.split()[1]
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


async def test_a_live_session_runs_through_it(url: str) -> None:
    async with AsyncClient(url) as client, asyncio.TaskGroup() as group:
        session = await client.create_session()
        publishing = group.create_task(stream(client, session.id))

        async def is_in_context() -> bool:
            return (await client.get_session(session.id)).chunks >= 2

        await eventually(is_in_context, within_s=WITHIN_S)
        answer = await client.ask(session.id, "what do you see?", max_tokens=4)
        publishing.cancel()
        await client.end_session(session.id)
    assert answer.answer
    assert answer.context_end_s >= 4.0
    text = await scrape(url)  # as Prometheus would
    assert 'omnisift_chunks_total{deployment="Ingest"' in text
    promtool("check", "metrics", stdin=text)


async def test_replicas_follow_live_sessions_and_the_last_one_goes_on(url: str) -> None:
    async def are(number: int) -> bool:
        return await num_llm_replicas(url) == number

    async with AsyncClient(url) as client, asyncio.TaskGroup() as group:
        sessions = [await client.create_session() for _ in range(3)]
        publishing = [group.create_task(stream(client, session.id)) for session in sessions]
        await eventually(lambda: are(3), within_s=WITHIN_S)
        for session, task in list(zip(sessions, publishing, strict=True))[1:]:
            task.cancel()
            await client.end_session(session.id)
        await eventually(lambda: are(1), within_s=WITHIN_S)

        stays = sessions[0].id
        before = (await client.get_session(stays)).chunks

        async def has_gone_on() -> bool:
            return (await client.get_session(stays)).chunks >= before + 2

        await eventually(has_gone_on)
        answer = await client.ask(stays, "still there?", max_tokens=4)
        publishing[0].cancel()
        await client.end_session(stays)
        async with aclosing(client.events(stays)) as feed:
            events = [event async for event in feed]
    indices = [event.index for event in events if isinstance(event, ChunkEvent)]
    assert not [event.data for event in events if event.type == "dropped"]
    assert indices == list(range(len(indices)))
    # all of it, but for what is longer ago than the model was trained with
    held_s = answer.context_end_s - answer.context_start_s
    assert held_s >= min(answer.context_end_s, TRAINED_S)


async def num_llm_replicas(url: str) -> int:
    found = re.findall(
        r'omnisift_build_info\{deployment="LLM".*?replica="(\w+)"', await scrape(url)
    )
    return len(set(found))


async def scrape(url: str) -> str:
    async with httpx.AsyncClient(timeout=20) as http:
        return (await http.get(f"{url}/metrics")).text


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source)
