import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from service.clock import steady_clock
from service.ingest.config import IngestConfig
from service.ingest.container import Container, ContainerLimits, open_container
from service.ingest.playback import Pace, Playback, RoomySink
from service.ingest.source import Picture, Sound
from service.ingest.worker import IngestWorker
from service.source_errors import MediaUnreadable, SourceUnreachable
from tests.clips import write_clip
from tests.eventually import eventually
from tests.media import make_audio, make_video
from tests.service.ingest.replica import SESSION, Replica


class Room(RoomySink):
    """A sink that has room when it is told so."""

    def __init__(self) -> None:
        self.items: list[Picture | Sound] = []
        self.discarded: Counter[tuple[str, str]] = Counter()
        self.kinds: tuple[bool, bool, bool] | None = None
        self.followed: list[bool] = []
        self.has_room = asyncio.Event()
        self.has_room.set()

    def begin(
        self,
        *,
        has_video: bool,
        has_audio: bool,
        is_recorded: bool = False,
        is_next: bool = False,
    ) -> float:
        self.kinds = (has_video, has_audio, is_recorded)
        self.followed.append(is_next)
        return steady_clock()()

    async def wait_room(self) -> None:
        await self.has_room.wait()

    def push(self, item: Picture | Sound) -> None:
        self.items.append(item)

    def discard(self, modality: str, result: str = "undecodable") -> None:
        self.discarded[modality, result] += 1


def opener(path: Path, limits: ContainerLimits | None = None) -> Callable[[], Container]:
    return partial(open_container, str(path), limits or ContainerLimits(), protocols="file")


async def play(path: Path, sink: Room, pace: Pace) -> Playback:
    playback = Playback([opener(path)], sink, steady_clock(), pace=pace)
    playback.start()
    await asyncio.wait_for(playback.wait_gone(), 20)
    await playback.aclose()
    return playback


async def test_a_fast_recording_comes_whole_and_at_once(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=8.0), Room()

    began_s = time.monotonic()
    playback = await play(path, sink, "fast")

    assert time.monotonic() - began_s < 8.0
    assert playback.failure is None
    assert sink.kinds == (True, True, True)
    times_s = [item.at_s - sink.items[0].at_s for item in sink.items if isinstance(item, Picture)]
    assert times_s == pytest.approx([number / 10 for number in range(80)], abs=0.001)


async def test_recordings_are_played_one_after_the_other(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=1.0), Room()
    playback = Playback([opener(path), opener(path)], sink, steady_clock(), pace="fast")

    playback.start()
    await asyncio.wait_for(playback.wait_gone(), 20)
    await playback.aclose()

    assert playback.is_complete
    assert sink.followed == [False, True]
    assert sum(isinstance(item, Picture) for item in sink.items) == 20


async def test_a_paced_recording_takes_as_long_as_it_is(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=1.0), Room()

    await play(path, sink, "realtime")

    late_s = [item.arrived_s - item.at_s for item in sink.items]
    assert min(late_s) >= 0
    assert sorted(late_s)[len(late_s) // 2] < 0.25


async def test_nothing_is_read_without_room(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=1.0), Room()
    sink.has_room.clear()
    playback = Playback([opener(path)], sink, steady_clock(), pace="fast")
    playback.start()
    await eventually(lambda: sink.kinds is not None)
    await asyncio.sleep(0.1)

    assert sink.items == []
    sink.has_room.set()
    await asyncio.wait_for(playback.wait_gone(), 20)
    assert sum(isinstance(item, Picture) for item in sink.items) == 10


async def test_a_live_source_is_placed_by_arrival(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=2.0), Room()

    await play(path, sink, "live")

    assert sink.kinds == (True, True, False)
    assert sink.items


async def test_oversized_pictures_are_told(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=1.0), Room()
    limits = ContainerLimits(max_frame_pixels=100)
    playback = Playback([opener(path, limits)], sink, steady_clock(), pace="fast")
    playback.start()
    await asyncio.wait_for(playback.wait_gone(), 20)

    assert sink.discarded == {("video", "oversized"): 1}


async def test_what_cannot_be_opened_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()

    empty = await play(tmp_path / "empty.mp4", Room(), "fast")
    missing = await play(tmp_path / "none.mp4", Room(), "fast")

    assert isinstance(empty.failure, MediaUnreadable)
    assert isinstance(missing.failure, SourceUnreachable)


async def test_nothing_is_pushed_after_it_is_closed(tmp_path: Path) -> None:
    path, sink = write_clip(tmp_path / "clip.mp4", duration_s=4.0), Room()
    playback = Playback([opener(path)], sink, steady_clock(), pace="realtime")
    playback.start()
    await eventually(lambda: bool(sink.items))

    await playback.aclose()
    number = len(sink.items)
    await asyncio.sleep(0.2)

    assert len(sink.items) == number
    await asyncio.wait_for(playback.wait_gone(), 1)


async def test_slow_stages_drop_nothing_of_a_recording(
    tmp_path: Path, replica: Replica, patient: IngestConfig
) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=20.0)
    gates = replica.encoder.script.gates = {index: asyncio.Event() for index in (0, 4)}
    worker = IngestWorker(replica.around, patient)

    playback = await worker.play(SESSION, opener(path), "fast")
    for index, gate in gates.items():
        await replica.encoder.script.entered[index].wait()
        await asyncio.sleep(0.5)
        gate.set()
    await asyncio.wait_for(playback.wait_gone(), 60)
    await eventually(lambda: len(replica.llm.indices[SESSION]) == 10)
    await worker.aclose()

    assert [chunk.index for chunk in replica.encoder.chunks] == list(range(10))
    assert all(chunk.mel.shape[1] == 200 for chunk in replica.encoder.chunks[:-1])
    assert all(grid is not None for chunk in replica.encoder.chunks for grid in chunk.grids)
    assert [gap for chunk in replica.encoder.chunks[:-1] for gap in chunk.gaps] == []
    assert [event.type for event in await replica.events() if event.type == "dropped"] == []


async def test_streams_follow_a_fast_recording_without_a_gap(
    tmp_path: Path, replica: Replica, patient: IngestConfig
) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=11.0)
    worker = IngestWorker(replica.around, patient)
    for _ in range(2):
        playback = await worker.play(SESSION, opener(path), "fast")
        await asyncio.wait_for(playback.wait_gone(), 20)
        await eventually(lambda: not worker._sessions[SESSION].has_publisher)

    feed = await worker.feed(SESSION)
    for frame in sorted([*make_video(0, 2), *make_audio(0, 2)], key=lambda one: one.pts_s):
        feed.push(frame)
    await feed.aclose()
    await eventually(lambda: len(replica.llm.indices[SESSION]) >= 13)
    await worker.aclose()

    assert replica.llm.indices[SESSION][:13] == list(range(13))
    assert replica.frames("video", "late") == 0
