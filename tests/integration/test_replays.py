"""A session is recorded and replayed from the command line, through every deployment."""

import asyncio
import json
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path

import pytest

from clients.cli import main
from clients.sdk import AsyncClient, ReplayBegun
from service.demo.clip import make_clip
from service.media.chunker import ChunkerConfig
from service.settings import Settings
from tests.eventually import eventually
from tests.service.ingest.recording.tapes import make_looks, make_tape

pytestmark = [pytest.mark.ray, pytest.mark.redis]

NUM_CHUNKS = 8  # of the clip's 16 s


async def test_a_recorded_session_comes_out_as_it_was(
    client: AsyncClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, path = make_clip(tmp_path / "clip.mp4"), tmp_path / "a.mkv"
    session = await client.create_session()
    command = ["record", session.id, "-o", str(path), "--url", client.base_url]
    recording = asyncio.create_task(asyncio.to_thread(main, command))
    await asyncio.sleep(1.0)

    async def has_all() -> bool:
        return (await client.get_session(session.id)).chunks == NUM_CHUNKS

    await client.upload(session.id, clip.path)
    await eventually(has_all, within_s=60)
    answer = await client.ask(session.id, "what shape was red?")
    await client.end_session(session.id)
    assert await recording == 0

    code = await asyncio.to_thread(main, ["replay", str(path), "--json", "--url", client.base_url])

    lines = capsys.readouterr().out.splitlines()
    begun, *items, report = [json.loads(line) for line in lines if line.startswith("{")]
    assert (code, report["is_same"]) == (0, True), items
    assert report["chunks"] == {"compared": NUM_CHUNKS, "different": 0, "replayed": NUM_CHUNKS}
    [asked] = [item for item in items if item["type"] == "answer"]
    assert asked["replayed"] == answer.answer
    again = await client.get_session(begun["session_id"])
    assert (again.chunks, again.tokens) == (
        NUM_CHUNKS,
        (await client.get_session(session.id)).tokens,
    )
    await client.end_session(again.id)


async def test_who_hangs_up_ends_the_replay_and_keeps_the_session(
    client: AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "long.mkv"
    tape = make_tape(
        make_looks(150),
        service=version("omnisift-live"),
        model=settings.model_name,
        chunker=ChunkerConfig(max_pixels=settings.ingest.max_pixels),
    )
    path.write_bytes(tape)

    async with aclosing(client.replay(path)) as items:
        begun = await anext(items)
        await anext(items)
    assert isinstance(begun, ReplayBegun)

    async def is_idle() -> bool:
        return (await client.get_session(begun.session_id)).status == "idle"

    await eventually(is_idle, within_s=20)
    left = await client.get_session(begun.session_id)
    await asyncio.sleep(1.0)
    assert (await client.get_session(begun.session_id)).chunks == left.chunks < 75
    await client.end_session(begun.session_id)
