import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from service.egress import AllowList
from service.errors import ServiceError, Unavailable, UrlRefused
from service.ingest.clip import ClipConfig, ClipFile, Reel, fetch, open_clip
from service.ingest.config import IngestConfig
from service.ingest.container import Container, ContainerLimits
from service.ingest.source import Picture, Sound
from service.ingest.source_policy import SourcePolicy
from service.ingest.worker import IngestWorker
from service.source_errors import MediaUnreadable, SourceUnreachable
from tests.clips import write_clip
from tests.eventually import eventually
from tests.service.ingest.replica import SESSION, Replica
from tests.stills import make_bomb, make_still
from tests.web import send, web_server

CONFIG = ClipConfig(
    limits=ContainerLimits(max_duration_s=5.0, refuses_longer=True),
    policy=SourcePolicy(AllowList.parse(["127.0.0.1"])),
    max_bytes=10_000,
    fetch_s=0.2,
)


def read_all(container: Container) -> list[Picture | Sound]:
    items = []
    while not container.is_over:
        items += container.read()
    container.close()
    return items


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_image_is_shown_for_a_whole_chunk(image_format: str) -> None:
    still = make_still((30, 200, 90), size=(80, 60), image_format=image_format)

    pictures = read_all(open_clip(still, "image", CONFIG))

    assert [picture.at_s for picture in pictures] == [0.0, 0.5, 1.0, 1.5]
    picture = pictures[-1]
    assert isinstance(picture, Picture)
    pixels = picture.convert()
    assert pixels.shape == (60, 80, 3)
    assert abs(pixels.reshape(-1, 3).mean(axis=0) - (30, 200, 90)).max() < 6


def test_first_of_several_images_in_a_file_is_shown() -> None:
    first, second = (make_still(colour) for colour in ((200, 0, 0), (0, 0, 200)))

    pictures = read_all(open_clip(first + second, "image", CONFIG))

    assert [int(picture.convert()[0, 0, 0]) for picture in pictures] == [200] * 4


def test_video_and_audio_are_read_to_their_ends(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", duration_s=2.0).read_bytes()
    audio = write_clip(tmp_path / "a.m4a", duration_s=2.0, video=False).read_bytes()

    assert {type(item) for item in read_all(open_clip(video, "video", CONFIG))} == {Picture, Sound}
    assert {type(item) for item in read_all(open_clip(audio, "audio", CONFIG))} == {Sound}


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", duration_s=1.0).read_bytes()
    audio = write_clip(tmp_path / "a.m4a", duration_s=1.0, video=False).read_bytes()
    still = make_still((1, 2, 3))

    for content, kind, says in (
        (video, "audio", "send it as video_url"),
        (audio, "video", "send sound as input_audio"),
        (video, "image", "no format that is read"),
        (still, "video", "no format that is read"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:6379/x.ts\n", "video", "no format that is read"),
        (b"not media", "audio", "no format that is read"),
    ):
        with pytest.raises(MediaUnreadable, match=says):
            open_clip(content, kind, CONFIG)  # type: ignore[arg-type]  # one of the kinds


@pytest.mark.parametrize("names_length", [True, False])
def test_longer_file_is_refused_not_cut(tmp_path: Path, names_length: bool) -> None:
    # of MPEG transport streams, FFmpeg only guesses the length, so cut that off
    path = tmp_path / ("a.mp4" if names_length else "a.ts")
    codec = "mpeg4" if names_length else "mpeg2video"
    content = write_clip(path, duration_s=6.0, fps=25, codec=codec).read_bytes()

    with pytest.raises(MediaUnreadable, match="longer than 5 s"):
        read_all(open_clip(content, "video", CONFIG))


def test_picture_larger_than_allowed_is_never_decoded() -> None:
    bomb = make_bomb(16_000, 16_000)
    assert len(bomb) < 5_000_000
    forget_peak()
    before = peak_bytes()

    with pytest.raises(MediaUnreadable):
        read_all(open_clip(bomb, "image", CONFIG))

    # decoded it takes 1 GB
    assert peak_bytes() - before < 200 << 20


def test_file_is_fetched_whole() -> None:
    still = make_still((1, 2, 3))

    with web_server(lambda handler: send(handler, still)) as url:
        patient = replace(CONFIG, fetch_s=20.0)
        assert fetch(f"{url}/a.png", patient) == still
        assert len(read_all(open_clip(f"{url}/a.png", "image", patient))) == 4


def test_file_that_is_too_large_is_not_fetched_to_its_end() -> None:
    with (
        web_server(lambda handler: send(handler, bytes(10_001))) as url,
        pytest.raises(MediaUnreadable, match="larger than 10000 bytes"),
    ):
        fetch(url, CONFIG)


def test_file_that_trickles_is_given_up() -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10000")
        handler.end_headers()
        with suppress(OSError):
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)

    with (
        web_server(trickle) as url,
        pytest.raises(SourceUnreachable, match=r"within 0\.2 s"),
    ):
        fetch(url, CONFIG)


@pytest.mark.parametrize(
    "url",
    ["rtsp://127.0.0.1/x", "file:///etc/hostname", "ftp://127.0.0.1/x", "http://10.0.0.1/x", "x"],
)
def test_url_that_may_not_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        fetch(url, CONFIG)


@pytest.fixture
async def worker(replica: Replica, config: IngestConfig) -> AsyncIterator[IngestWorker]:
    # a busy machine takes its time to decode, which is no reason to end the session
    liveness = replace(config.liveness, no_media_s=30.0, idle_s=3.0)
    worker = IngestWorker(replica.around, replace(config, drain_s=0.1, liveness=liveness))
    yield worker
    await worker.aclose()


async def test_file_is_in_context_when_it_is_digested(
    worker: IngestWorker, replica: Replica, tmp_path: Path
) -> None:
    content = write_clip(tmp_path / "a.mp4", duration_s=21.0, fps=2).read_bytes()

    await worker.digest(SESSION, [ClipFile(content, "video")])

    assert replica.llm.indices[SESSION] == list(range(11))
    with pytest.raises(Unavailable):
        await worker.feed(SESSION)


async def test_files_follow_each_other_without_a_gap(
    replica: Replica, patient: IngestConfig, tmp_path: Path
) -> None:
    worker = IngestWorker(replica.around, patient)
    still = ClipFile(make_still((1, 2, 3)), "image")
    clip = write_clip(tmp_path / "a.mp4", duration_s=3.0, fps=2).read_bytes()
    replica.encoder.script.gates[0] = gate = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        group.create_task(worker.digest(SESSION, [still, ClipFile(clip, "video"), still]))
        await asyncio.sleep(2.5)  # stream time does not follow the clock
        gate.set()

    assert replica.llm.indices[SESSION] == [0, 1, 2, 3]
    chunks = replica.encoder.chunks
    num_grids = [sum(grid is not None for grid in chunk.grids) for chunk in chunks]
    assert num_grids == [2, 2, 1, 2]
    assert [chunk.mel.shape[1] > 0 for chunk in chunks] == [False, True, True, False]
    # the clip ends before its chunk, and that is all that is missing
    assert {gap.start_s // 2 for chunk in chunks for gap in chunk.gaps} <= {2}
    await worker.aclose()


def test_lengths_count_together_and_the_file_at_fault_is_named(tmp_path: Path) -> None:
    clip = ClipFile(write_clip(tmp_path / "a.mp4", duration_s=3.0).read_bytes(), "video")
    first, second, third = Reel([clip, ClipFile(b"x", "image"), clip], CONFIG).openers
    read_all(first())

    with pytest.raises(MediaUnreadable, match=r"file 2 of 3: .* in no format that is read"):
        second()
    with pytest.raises(MediaUnreadable, match=r"file 3 of 3: .* longer than 1 s"):
        third()


async def test_digested_session_that_is_left_ends_by_itself(
    worker: IngestWorker, replica: Replica
) -> None:
    await worker.digest(SESSION, [ClipFile(make_still((1, 2, 3)), "image")])

    async def has_ended() -> bool:
        return (await replica.around.store.get(SESSION)).end_reason == "idle"

    await eventually(has_ended)
    assert worker.num_sessions == 0


@pytest.mark.parametrize("is_ended", [False, True])
async def test_file_that_is_broken_off_is_not_taken_for_whole(
    worker: IngestWorker, replica: Replica, tmp_path: Path, is_ended: bool
) -> None:
    content = write_clip(tmp_path / "a.mp4", duration_s=20.0, fps=2).read_bytes()
    replica.encoder.script.gates[1] = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        digesting = group.create_task(digested(worker, content))
        await replica.encoder.script.entered[1].wait()
        stop = worker.end(SESSION, "deleted") if is_ended else worker.drain("replica_stops")
        await stop

    assert isinstance(digesting.result(), Unavailable)


async def digested(worker: IngestWorker, content: bytes) -> ServiceError | None:
    try:
        await worker.digest(SESSION, [ClipFile(content, "video")])
    except ServiceError as error:
        return error
    return None


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    (peak_kb,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak_kb) << 10
