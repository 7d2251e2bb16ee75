"""Media that comes as a file, or is fetched, through every deployment."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from chaos.replicas import kill
from clients.sdk import AsyncClient, BadRequest, SourceEvent, errors
from service.demo.clip import make_clip
from tests.camera import camera
from tests.eventually import eventually
from tests.free_port import free_port
from tests.integration.streams import RECOVERED_S, assert_covered, events, has_chunks
from tests.web import send, web_server

pytestmark = [pytest.mark.ray, pytest.mark.redis]

NUM_CHUNKS = 8  # of the clip's 16 s


async def test_a_recording_is_sent_played_fast_and_asked_about(
    client: AsyncClient, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    session = await client.create_session()

    source = await client.upload(session.id, clip.path)
    states = await until_over(client, session.id)
    await until_in_context(client, session.id)
    answers = [
        (await client.ask(session.id, planned.question, at_s=planned.ask_at_s)).answer
        for planned in clip.planned
    ]

    assert (source.url, source.speed) == (None, "fast")
    assert states == ["connecting", "live", "ended"]
    assert answers == [planned.expected for planned in clip.planned]


async def test_a_recording_is_fetched_where_the_operator_allows_it(
    client: AsyncClient, tmp_path: Path
) -> None:
    content = make_clip(tmp_path / "clip.mp4").path.read_bytes()
    session = await client.create_session()

    with web_server(lambda handler: send(handler, content, ranges=True)) as web:
        await client.add_source(session.id, f"{web}/clip.mp4", speed="fast")
        states = await until_over(client, session.id)
    await until_in_context(client, session.id)
    [source] = await client.list_sources(session.id)
    await client.remove_source(session.id, source.id)

    assert states == ["connecting", "live", "ended"]
    assert source.state == "ended"
    assert await client.list_sources(session.id) == ()
    with pytest.raises(BadRequest, match="OMNISIFT_SOURCES__HOSTS"):
        await client.add_source(session.id, "http://192.168.0.1/clip.mp4")


@pytest.mark.long
async def test_a_camera_goes_on_by_itself_though_its_replica_dies(client: AsyncClient) -> None:
    session = await client.create_session()
    async with camera(free_port(), "user", "pass") as url:
        await client.add_source(session.id, url.replace("//", "//user:pass@"))
        await has_chunks(client, session.id, 2)
        kill("Ingest")
        await until_state(client, session.id, "reconnecting")
        await until_state(client, session.id, "live")
        before = await client.get_session(session.id)
        await has_chunks(client, session.id, before.chunks + 2)
        [source] = await client.list_sources(session.id)
        await client.remove_source(session.id, source.id)
        told = await events(client, session.id)

    assert source.url == url
    assert [event.state for event in told if isinstance(event, SourceEvent)] == [
        "connecting",
        "live",
        "reconnecting",
        "live",
        "ended",
    ]
    assert_covered((await client.timeline(session.id)).chunks)


@pytest.mark.long
async def test_a_recording_goes_on_where_its_log_ends_though_its_replica_dies(
    client: AsyncClient, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    content = clip.path.read_bytes()
    session = await client.create_session()

    with web_server(lambda handler: send(handler, content, ranges=True)) as web:
        await client.add_source(session.id, f"{web}/clip.mp4")
        await has_chunks(client, session.id, 3)
        kill("Ingest")
        states = await until_over(client, session.id)
    await until_in_context(client, session.id)
    chunks = (await client.timeline(session.id)).chunks

    assert states == ["connecting", "live", "reconnecting", "live", "ended"]
    # nothing of it is missing and nothing twice: what is not there is the time of the outage
    assert len(chunks) == NUM_CHUNKS
    assert_covered(chunks)


async def until_state(client: AsyncClient, session_id: str, state: str) -> None:
    async def is_so() -> bool:
        try:
            return [one.state for one in await client.list_sources(session_id)][-1:] == [state]
        except errors.OmniSiftError:
            return False

    await eventually(is_so, within_s=RECOVERED_S)


async def until_over(client: AsyncClient, session_id: str) -> list[str]:
    """The states of the session's source, up to its last."""
    states: list[str] = []
    async with asyncio.timeout(60), aclosing(client.events(session_id)) as feed:
        async for event in feed:
            if isinstance(event, SourceEvent):
                states.append(event.state)
                if event.state in ("ended", "failed"):
                    break
    return states


async def until_in_context(client: AsyncClient, session_id: str) -> None:
    async def has_all() -> bool:
        return (await client.get_session(session_id)).chunks == NUM_CHUNKS

    await eventually(has_all, within_s=60)
