"""Sources of every kind into a real worker: files, a web server, a camera."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from service.egress import AllowList
from service.errors import AlreadyPublishing, BadRequest, SessionNotFound, UrlRefused
from service.ingest.config import IngestConfig, SourcesConfig
from service.ingest.container import ContainerLimits
from service.ingest.pull import SourceView
from service.ingest.source_policy import SourcePolicy
from service.ingest.uploads import UploadLimits
from service.ingest.worker import IngestWorker
from service.retry import RetryConfig
from service.sessions.record import SessionId, SessionStatus
from service.source_errors import MediaUnreadable, SourceNotFound
from tests.camera import camera
from tests.clips import write_clip
from tests.eventually import eventually
from tests.free_port import free_port
from tests.service.ingest.replica import OTHER, SESSION, Replica
from tests.web import redirect, send, web_server

AWAY_S = 2.0


@pytest.fixture
async def worker(
    replica: Replica, patient: IngestConfig, tmp_path: Path
) -> AsyncIterator[IngestWorker]:
    sources = SourcesConfig(
        policy=SourcePolicy(AllowList.parse(["127.0.0.1"]), file_roots=[tmp_path]),
        limits=ContainerLimits(open_s=5.0, read_s=3.0),
        uploads=UploadLimits(max_bytes=1 << 20, idle_s=5.0),
        retry=RetryConfig(first_backoff_s=0.1, max_backoff_s=0.3, deadline_s=20.0),
    )
    worker = IngestWorker(replica.around, replace(patient, sources=sources))
    yield worker
    await worker.aclose()


async def state(worker: IngestWorker, session_id: SessionId = SESSION) -> SourceView:
    return (await worker.sources.views(session_id))[-1]


async def becomes(worker: IngestWorker, name: str) -> SourceView:
    async def is_so() -> bool:
        return (await state(worker)).state == name

    await eventually(is_so)
    return await state(worker)


async def told(replica: Replica) -> list[str]:
    events = await replica.events()
    return [event.data["state"] for event in events if event.type == "source.state"]


async def test_a_file_is_played_whole_and_the_session_goes_idle(
    worker: IngestWorker, replica: Replica, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clip.mp4", duration_s=11.0)

    view = await worker.sources.add(SESSION, f"file://{tmp_path}/clip.mp4", "fast")
    with pytest.raises(AlreadyPublishing):
        await worker.sources.add(SESSION, f"file://{tmp_path}/clip.mp4", "fast")
    ended = await becomes(worker, "ended")

    assert (view.state, view.url) == ("connecting", f"file://{tmp_path}/clip.mp4")
    assert (ended.id, ended.reason) == (view.id, None)
    await eventually(lambda: len(replica.llm.indices[SESSION]) == 6)
    assert await told(replica) == ["connecting", "live", "ended"]
    await eventually(lambda: _is_idle(replica))
    await worker.sources.remove(SESSION, view.id)
    assert await worker.sources.views(SESSION) == ()


async def _is_idle(replica: Replica) -> bool:
    return (await replica.around.store.get(SESSION)).status is SessionStatus.IDLE


@pytest.mark.parametrize(
    ("tracks", "kinds"),
    [
        ({"audio": False}, ["video"]),
        ({"video": False}, ["audio"]),
        ({"level": 0.0}, ["video", "audio"]),
    ],
    ids=["no sound", "no video", "silence"],
)
async def test_a_file_may_lack_a_track(
    worker: IngestWorker,
    replica: Replica,
    tmp_path: Path,
    tracks: dict[str, object],
    kinds: list[str],
) -> None:
    write_clip(tmp_path / "clip.mp4", duration_s=3.0, **tracks)  # type: ignore[arg-type]  # any field

    await worker.sources.add(SESSION, f"file://{tmp_path}/clip.mp4", "fast")
    await becomes(worker, "ended")
    await eventually(lambda: len(replica.llm.indices[SESSION]) == 2)

    first = replica.encoder.chunks[0]
    assert (len(first.grids) > 0) == ("video" in kinds)
    assert (first.mel.shape[1] > 0) == ("audio" in kinds)
    assert first.gaps == ()


async def test_a_damaged_file_is_refused_and_the_session_stays_free(
    worker: IngestWorker, tmp_path: Path
) -> None:
    (tmp_path / "empty.mp4").touch()

    with pytest.raises(MediaUnreadable):
        await worker.sources.add(SESSION, f"file://{tmp_path}/empty.mp4", "fast")
    with pytest.raises(UrlRefused):
        await worker.sources.add(SESSION, "file:///etc/passwd", "fast")
    with pytest.raises(SessionNotFound):
        await worker.sources.add(SessionId("none"), f"http://127.0.0.1:{free_port()}/", "fast")

    assert worker.num_sessions == 0


async def test_a_recording_comes_from_a_web_server(
    worker: IngestWorker, replica: Replica, tmp_path: Path
) -> None:
    # its index is at the end: reading it needs range requests
    content = write_clip(tmp_path / "clip.mp4", duration_s=11.0).read_bytes()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        moved = handler.path == "/moved"
        redirect(handler, "/clip.mp4") if moved else send(handler, content, ranges=True)

    with web_server(answer) as url:
        await worker.sources.add(SESSION, f"{url}/moved?key=secret", "fast")
        view = await becomes(worker, "ended")

    assert view.url == f"{url}/moved"
    await eventually(lambda: len(replica.llm.indices[SESSION]) == 6)


@pytest.mark.parametrize(
    ("location", "content", "reason"),
    [
        ("http://127.0.0.2/clip.mp4", b"", "private address"),
        ("http://169.254.169.254/", b"", "never reached"),
        (None, b"#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.2/x.ts\n", "no format that is read"),
        (None, b"", "empty"),
    ],
)
async def test_what_a_web_server_may_not_give_fails_with_its_reason(
    worker: IngestWorker, location: str | None, content: bytes, reason: str
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        redirect(handler, location) if location else send(handler, content)

    with web_server(answer) as url:
        await worker.sources.add(SESSION, url, "fast")
        view = await becomes(worker, "failed")

    assert reason in (view.reason or "")


async def test_a_camera_that_is_cut_off_comes_back_after_a_gap(
    worker: IngestWorker, replica: Replica
) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(camera(port))
        with pytest.raises(BadRequest, match="real time"):
            await worker.sources.add(SESSION, url, "fast")
        await worker.sources.add(SESSION, url, "realtime")
        await becomes(worker, "live")
        await eventually(lambda: len(replica.llm.indices[SESSION]) >= 1)
    await becomes(worker, "reconnecting")
    await asyncio.sleep(AWAY_S)
    seen = len(replica.encoder.chunks)

    async with camera(port):
        await becomes(worker, "live")
        await eventually(lambda: len(replica.encoder.chunks) >= seen + 2)
        view = await state(worker)
        await worker.sources.remove(SESSION, view.id)

    gaps = [gap for chunk in replica.encoder.chunks[1:] for gap in chunk.gaps]
    for modality in ("video", "audio"):
        missing_s = sum(gap.duration_s for gap in gaps if gap.modality == modality)
        assert missing_s >= AWAY_S / 2
    states = await told(replica)
    assert states[:2] == ["connecting", "live"]
    assert "reconnecting" in states
    assert states[-2:] == ["live", "ended"]


async def test_a_camera_wants_its_password(worker: IngestWorker, replica: Replica) -> None:
    async with camera(free_port(), "user", "pass") as url:
        await worker.sources.add(SESSION, url.replace("//", "//user:wrong@"), "realtime")
        denied = await becomes(worker, "failed")
        await worker.sources.add(OTHER, url.replace("//", "//user:pass@"), "realtime")
        await eventually(lambda: len(replica.llm.indices[OTHER]) >= 1)

    assert "401" in (denied.reason or "")
    assert "wrong" not in str(await replica.events())
    assert (await state(worker, OTHER)).url == url


async def test_nobody_there_is_tried_again_until_it_is_stopped(
    worker: IngestWorker, replica: Replica
) -> None:
    view = await worker.sources.add(SESSION, f"rtsp://127.0.0.1:{free_port()}/", "realtime")
    waiting = await becomes(worker, "reconnecting")

    assert "Connection refused" in (waiting.reason or "")
    await worker.sources.remove(SESSION, view.id)
    with pytest.raises(SourceNotFound):
        await worker.sources.remove(SESSION, view.id)
    assert (await told(replica))[-1] == "ended"


async def test_a_recording_is_sent_in_parts(
    worker: IngestWorker, replica: Replica, tmp_path: Path
) -> None:
    content = write_clip(tmp_path / "clip.mp4", duration_s=3.0).read_bytes()
    upload_id = await worker.sources.begin_upload(SESSION)
    for start in range(0, len(content), 5_000):
        await worker.sources.append_upload(
            SESSION, upload_id, start, content[start : start + 5_000]
        )

    view = await worker.sources.finish_upload(SESSION, upload_id, "fast")
    await becomes(worker, "ended")

    assert view.url is None
    await eventually(lambda: len(replica.llm.indices[SESSION]) == 2)


async def test_an_upload_without_media_leaves_nothing_behind(worker: IngestWorker) -> None:
    upload_id = await worker.sources.begin_upload(SESSION)
    await worker.sources.append_upload(SESSION, upload_id, 0, b"no media")
    assert worker.num_sessions == 1  # it is kept for what comes

    with pytest.raises(MediaUnreadable):
        await worker.sources.finish_upload(SESSION, upload_id, "fast")
    await worker.sources.abort_upload(SESSION, upload_id)

    assert worker.num_sessions == 0


async def test_an_upload_is_no_way_around_a_publisher(worker: IngestWorker) -> None:
    upload_id = await worker.sources.begin_upload(OTHER)
    feed = await worker.feed(SESSION)

    with pytest.raises(AlreadyPublishing):
        await worker.sources.begin_upload(SESSION)
    await feed.aclose()
    await worker.end(OTHER, "deleted")
    await asyncio.sleep(0)
    assert not worker.sources.awaits_upload(OTHER)
    del upload_id
