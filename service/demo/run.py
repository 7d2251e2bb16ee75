"""Runs the demo: starts the service, publishes a clip by WebRTC, asks while it streams, reports."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import httpx

from clients.sdk import Answer, AsyncClient
from clients.sdk.events import ChunkEvent
from clients.sdk.media.file import open_file
from clients.sdk.publish import publish
from service.app import running
from service.demo.clip import Clip, Planned, make_clip
from service.demo.report import Asked, ChunkSeen, Report
from service.settings import Settings

Say = Callable[[str], None]

DRAIN_S = 1.0  # the last chunk's event follows the end of the stream


def run_demo(settings: Settings) -> int:
    """Run it all and print what happened; 0 when the report is ok, else 1."""
    began_s = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began_s:5.1f} s] {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="omnisift-demo-") as folder:
        say("making a clip: small moving shapes, short sounds, a few words")
        clip = make_clip(Path(folder) / "clip.mp4")
        say("starting Redis, Ray Serve and the model")
        local = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
        with running(local, show_logs=False) as url:
            say(f"service ready at {url}")
            report = asyncio.run(stream_and_ask(url, clip, say))
            print(report.as_text(), flush=True)
            print()
            say("stopping")
    print(json.dumps(report.as_json()))
    sys.stdout.flush()
    return 0 if report.is_ok else 1


async def stream_and_ask(url: str, clip: Clip, say: Say) -> Report:
    async with AsyncClient(url) as client:
        session = await client.create_session(metadata={"source": "demo"})
        say(f"session {session.id}: streaming {clip.duration_s:.0f} s over WebRTC")
        seen = _Seen()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(client, session.id, seen))
            asking = group.create_task(_ask_all(url, client, session.id, clip.planned, seen, say))
            with open_file(clip.path) as source:
                await publish(client, session.id, source)
            asked = await asking
            await asyncio.sleep(DRAIN_S)
            watching.cancel()
        await client.end_session(session.id)
    return Report(session.id, session.profile, seen.chunks, asked)


class _Seen:
    """The chunks in context so far; wakes whoever waits for a stream time."""

    def __init__(self) -> None:
        self.chunks: list[ChunkSeen] = []
        self._end_s = 0.0
        self._grew = asyncio.Condition()

    async def add(self, event: ChunkEvent) -> None:
        tokens = event.tokens
        async with self._grew:
            self.chunks.append(
                ChunkSeen(
                    lag_s=event.lag_s or 0.0,
                    stages_s=dict(event.stages_s),
                    video=(tokens.video.in_, tokens.video.kept),
                    audio=(tokens.audio.in_, tokens.audio.kept),
                )
            )
            self._end_s = event.end_s
            self._grew.notify_all()

    async def reach(self, stream_s: float) -> None:
        async with self._grew:
            await self._grew.wait_for(lambda: self._end_s >= stream_s)


async def _watch(client: AsyncClient, session_id: str, seen: _Seen) -> None:
    async with aclosing(client.events(session_id)) as events:
        async for event in events:
            if isinstance(event, ChunkEvent):
                await seen.add(event)


async def _ask_all(
    url: str,
    client: AsyncClient,
    session_id: str,
    planned: Sequence[Planned],
    seen: _Seen,
    say: Say,
) -> list[Asked]:
    routes = (_by_query, _by_stream, _by_chat)
    asked = []
    for number, plan in enumerate(planned):
        await seen.reach(plan.ask_at_s)
        one = await routes[number % len(routes)](url, client, session_id, plan)
        asked.append(one)
        say(f"asked by {one.route}: {one.question} -> {one.answer}")
    return asked


async def _by_query(url: str, client: AsyncClient, session_id: str, plan: Planned) -> Asked:
    answer = await client.ask(session_id, plan.question)
    return _asked("query", plan, answer.answer, answer.context_end_s, answer.ttft_s)


async def _by_stream(url: str, client: AsyncClient, session_id: str, plan: Planned) -> Asked:
    async with aclosing(client.ask_stream(session_id, plan.question)) as parts:
        answer = [part async for part in parts if isinstance(part, Answer)][-1]
    return _asked("query, SSE", plan, answer.answer, answer.context_end_s, answer.ttft_s)


async def _by_chat(url: str, client: AsyncClient, session_id: str, plan: Planned) -> Asked:
    """Ask as an OpenAI client would, timing the first streamed text here."""
    body = {
        "session_id": session_id,
        "messages": [{"role": "user", "content": plan.question}],
        "stream": True,
    }
    began_s, ttft_s, text = time.monotonic(), None, ""
    async with (
        httpx.AsyncClient(timeout=30.0) as http,
        http.stream("POST", f"{url}/v1/chat/completions", json=body) as response,
    ):
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
            text += delta.get("content", "")
            ttft_s = ttft_s or (time.monotonic() - began_s if text else None)
    stream_s = (await client.get_session(session_id)).stream_s
    return _asked("chat completions", plan, text, stream_s, ttft_s)


def _asked(route: str, plan: Planned, answer: str, at_s: float, ttft_s: float | None) -> Asked:
    return Asked(route, plan.question, answer, plan.expected, at_s, ttft_s or 0.0)
