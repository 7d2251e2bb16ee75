import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from clients.sdk import (
    ApiError,
    AsyncClient,
    Conflict,
    ConnectionFailed,
    MissingDependency,
    NotFound,
    SourceUnavailable,
)
from clients.sdk.backoff import Backoff
from clients.sdk.media import Source, VideoLimits, open_file, open_synthetic, pulse
from clients.sdk.publish import Progress, publish
from tests.clients.clips import BEEP_HZ, make_clip
from tests.clients.fake_service import RunningService
from tests.clients.receiver import Received

pytestmark = pytest.mark.webrtc

QUICK = Backoff(first_s=0.05, max_s=0.2, max_attempts=50)


@pytest.fixture
async def client(service: RunningService) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(service.url) as client:
        yield client


def received(service: RunningService, connection: str = "r0") -> dict[str, list[Received]]:
    return service.fake.feed("s0").receivers[connection].frames


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is another thread that makes it true
            await asyncio.sleep(0.02)


async def test_publisher_asks_for_servers_and_does_without_those_that_are_away(
    service: RunningService, client: AsyncClient
) -> None:
    service.fake.ice_links = '<turn:127.0.0.1:9?transport=tcp>; rel="ice-server"; username="u"'
    session = await client.create_session()

    with open_synthetic() as source:
        done = await publish(client, session.id, source, duration_s=0.3)

    asked = [request[:2] for request in service.fake.requests]
    endpoint = "/v1/sessions/s0/whip"
    assert done.state == "done"
    assert asked.index(("OPTIONS", endpoint)) < asked.index(("POST", endpoint))


async def test_scene_is_sent_in_real_time_and_the_resource_deleted(
    service: RunningService, client: AsyncClient
) -> None:
    session = await client.create_session()
    told: list[Progress] = []
    began_s = time.monotonic()

    with open_synthetic() as source:
        done = await publish(client, session.id, source, duration_s=2.0, on_progress=told.append)

    frames = received(service)
    # a busy machine leaves pictures out, decodes the last ones too late, and delays all: it never
    # makes a frame early
    assert (done.state, done.num_audio_frames) == ("done", 100)
    assert done.num_video_frames + done.num_late_frames == 30
    assert done.sent_s == pytest.approx(2.0)
    assert len(frames["video"]) > done.num_video_frames / 2
    assert len(frames["audio"]) > 50
    assert {frame.size for frame in frames["video"]} == {(448, 336)}
    for track in frames.values():
        assert all(f.arrival_s - began_s > f.pts_s - track[0].pts_s for f in track)
    assert [told[0].state, told[1].state, told[-1].state] == ["connecting", "live", "done"]
    assert ("DELETE", "/v1/sessions/s0/whip/r0") in [r[:2] for r in service.fake.requests]
    assert not (await client.get_session(session.id)).has_ended


async def test_flash_and_beep_arrive_together(
    service: RunningService, client: AsyncClient, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", length_s=2.0, flash_s=1.0)
    session = await client.create_session()

    with open_file(clip, limits=VideoLimits(max_fps=20)) as source:
        await publish(client, session.id, source)

    frames = received(service)
    flash_s = next(f.arrival_s for f in frames["video"] if f.colour[1] > 128)
    beep_s = next(f.arrival_s for f in frames["audio"] if abs(f.peak_hz - BEEP_HZ) < 50)
    # receivers hold sound for 4 packets of 20 ms
    assert beep_s - flash_s == pytest.approx(0.08, abs=0.15)


async def test_cancelling_deletes_the_resource(
    service: RunningService, client: AsyncClient
) -> None:
    session = await client.create_session()

    with open_synthetic() as source:
        task = asyncio.ensure_future(publish(client, session.id, source))
        await until(lambda: service.fake.feed("s0").receivers and received(service)["audio"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert ("DELETE", "/v1/sessions/s0/whip/r0") in [r[:2] for r in service.fake.requests]


async def test_lost_connection_is_made_again_and_the_source_goes_on(
    service: RunningService, client: AsyncClient
) -> None:
    session = await client.create_session()
    states: list[str] = []

    def note(progress: Progress) -> None:
        if states[-1:] != [progress.state]:
            states.append(progress.state)

    with open_synthetic() as source:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            task = group.create_task(
                publish(client, session.id, source, duration_s=4, on_progress=note, backoff=QUICK)
            )
            await until(lambda: service.fake.feed("s0").receivers and received(service)["audio"])
            await asyncio.to_thread(service.stop)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(service.start)

    assert states[:3] == ["connecting", "live", "reconnecting"]
    assert states[-2:] == ["live", "done"]
    assert task.result().num_audio_frames >= 198
    assert task.result().num_reconnects == 1
    assert received(service, "r1")["video"]


async def test_publisher_waits_for_its_dead_predecessor_to_be_noticed(
    service: RunningService, client: AsyncClient
) -> None:
    session = await client.create_session()
    refused: list[Progress] = []

    def note(progress: Progress) -> None:
        if progress.state == "reconnecting":
            refused.append(progress)
            if isinstance(progress.failure, Conflict):
                service.fake.refusals.clear()

    with open_synthetic() as source:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(
                publish(client, session.id, source, duration_s=3, on_progress=note, backoff=QUICK)
            )
            await until(lambda: service.fake.feed("s0").receivers and received(service)["audio"])
            service.fake.refusals["POST", "/whip"] = (409, "already_publishing", {})
            await asyncio.to_thread(service.stop)
            await asyncio.to_thread(service.start)

    assert isinstance(refused[-1].failure, Conflict)
    assert received(service, "r1")["video"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_error_around_a_restart_is_not_final(
    service: RunningService, client: AsyncClient, status: int
) -> None:
    session = await client.create_session()
    refused: list[int | None] = []

    def note(progress: Progress) -> None:
        if isinstance(progress.failure, ApiError):
            refused.append(progress.failure.status)
            service.fake.refusals.clear()

    with open_synthetic() as source:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(
                publish(client, session.id, source, duration_s=3, on_progress=note, backoff=QUICK)
            )
            await until(lambda: service.fake.feed("s0").receivers and received(service)["audio"])
            service.fake.refusals["POST", "/whip"] = (status, "internal", {})
            await asyncio.to_thread(service.stop)
            await asyncio.to_thread(service.start)

    assert refused == [status]
    assert received(service, "r1")["video"]


async def test_connection_that_the_service_denies_is_made_again(
    service: RunningService, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "SUSPECT_S", 0.0)
    session = await client.create_session()
    failures: list[str] = []

    def note(progress: Progress) -> None:
        if progress.failure is not None:
            failures.append(str(progress.failure))
            service.fake.refusals.clear()

    service.fake.refusals["GET", "/whip/r0"] = (404, "session_not_found", {})
    with open_synthetic() as source:
        async with asyncio.timeout(30):
            done = await publish(
                client, session.id, source, duration_s=2, on_progress=note, backoff=QUICK
            )

    assert failures == ["the service no longer holds the media connection"]
    assert done.num_reconnects == 1
    assert received(service, "r1")["video"]


async def test_publisher_follows_a_session_that_moves(
    service: RunningService, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.sdk.publish.MOVED_ALONG_S", 0.0)
    session = await client.create_session()

    with open_synthetic() as source:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            task = group.create_task(
                publish(client, session.id, source, duration_s=3, backoff=QUICK)
            )
            await until(lambda: service.fake.feed("s0").receivers and received(service)["audio"])
            feed = service.fake.feed("s0")
            feed.add_event("session.moving", stage="llm", reason="replica_died")
            await asyncio.sleep(0.5)
            feed.add_event("session.moving", stage="ingest", reason="drain")

    assert task.result().num_reconnects == 1
    assert received(service, "r1")["video"]


async def test_outage_that_lasts_too_long_ends_in_its_error(
    service: RunningService, client: AsyncClient
) -> None:
    session = await client.create_session()
    failures: list[type] = []

    def note(progress: Progress) -> None:
        if progress.failure is not None:
            failures.append(type(progress.failure))

    async def publish_for_long(source: Source) -> None:
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            await publish(
                client, session.id, source, on_progress=note, backoff=QUICK, outage_limit_s=1.0
            )

    with open_synthetic() as source:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(publish_for_long(source))
            await until(lambda: service.fake.feed("s0").receivers and received(service)["audio"])
            await asyncio.to_thread(service.stop)
    service.start()

    assert 2 <= len(failures) <= 30  # the loss and at least one attempt after it
    assert set(failures) == {ConnectionFailed}


async def test_first_refusal_is_final(service: RunningService, client: AsyncClient) -> None:
    session = await client.create_session()

    with open_synthetic() as source:
        with pytest.raises(NotFound):
            await publish(client, "other", source)
        service.fake.refusals["POST", "/whip"] = (409, "already_publishing", {})
        with pytest.raises(Conflict):
            await publish(client, session.id, source)
        async with AsyncClient("http://127.0.0.1:9") as nowhere:
            with pytest.raises(ConnectionFailed):
                await publish(nowhere, session.id, source)


async def test_file_without_a_readable_frame_is_said_to_be_so(
    service: RunningService, client: AsyncClient, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", length_s=0.5)
    data = bytearray(clip.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    clip.write_bytes(data)
    session = await client.create_session()

    with open_file(clip) as source, pytest.raises(SourceUnavailable, match="can be decoded"):
        await publish(client, session.id, source)


async def test_missing_aiortc_is_named(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("clients.sdk.media.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiortc", None)

    with open_synthetic() as source, pytest.raises(MissingDependency, match="needs aiortc"):
        await publish(client, "s0", source)
