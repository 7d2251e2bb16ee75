"""A session is recorded and replayed from the command line, through every deployment."""

import asyncio
import json
from pathlib import Path

import pytest

from clients.cli import main
from clients.sdk import AsyncClient
from service.demo.clip import make_clip
from tests.eventually import eventually

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
