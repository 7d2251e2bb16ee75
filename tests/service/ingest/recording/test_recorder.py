import asyncio
from pathlib import Path

import pytest

from service.errors import StoreUnavailable
from service.events import Event
from service.ingest.recording.reader import Recording, open_recording
from service.ingest.recording.recorder import Recorder, RecordingConfig, convert
from service.sessions.record import Manner, SessionId, Turn
from tests.service.ingest.items import make_picture, make_sound
from tests.service.ingest.recording.tapes import HEADER

TURN = Turn("t", "what ?", "a bell", 101.0, 2.0, "stop", 0.1, 0.2, 30, 2, Manner(window_s=4.0))


class Rig:
    """A recorder with a clock set by hand."""

    def __init__(self, seconds: float = 60.0, **config: float) -> None:
        self.now_s = 100.0
        self.turns: list[Turn] = []
        self.is_store_away = False
        limits = RecordingConfig(**config)  # type: ignore[arg-type]  # any field
        self.recorder = Recorder(seconds, limits, lambda: self.now_s, self._turns)

    async def _turns(self) -> list[Turn]:
        if self.is_store_away:
            raise StoreUnavailable("gone")
        return self.turns

    def look(self, second: int = 0) -> None:
        at_s = self.now_s = 100.0 + second
        seen = convert([make_picture(at_s), make_sound(at_s)])
        self.recorder.look(seen, at_s)

    async def fetch(self, path: Path) -> Recording:
        """Run to the end and download."""
        data, number = b"", 0
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(self.recorder.run())
            while (part := await self.recorder.part(number, wait_s=0.05)) is not None:
                data, number = data + part, number + bool(part)
        path.write_bytes(data)  # noqa: ASYNC240 - a small file
        return await asyncio.to_thread(open_recording, path)


def told(index: int, kind: str = "chunk") -> Event:
    return Event(kind, SessionId("s"), 100.0, {"index": index, "reason": "encode"})  # type: ignore[arg-type]


async def test_all_that_is_seen_told_and_asked_is_in_the_file(tmp_path: Path) -> None:
    rig = Rig(part_bytes=100)
    rig.turns = [TURN]
    rig.recorder.begin(HEADER)
    rig.look(0)
    rig.recorder.expect([0])
    rig.look(2)
    rig.recorder.tell(told(0))
    rig.recorder.tell(told(0, "turn"))
    rig.recorder.stop("stopped")

    recording = await rig.fetch(tmp_path / "a.mkv")

    assert [now_s for _, now_s in recording.looks()] == [100.0, 102.0]
    assert [line.data["index"] for line in recording.told] == [0]
    assert [asked.answer for asked in recording.asked] == ["a bell"]
    assert [asked.manner for asked in recording.asked] == [TURN.manner]
    assert recording.end_reason == "stopped"


async def test_a_reader_too_slow_loses_the_rest_and_is_told(tmp_path: Path) -> None:
    rig = Rig(buffer_bytes=40_000)
    rig.recorder.begin(HEADER)
    for second in range(5):
        rig.look(second)

    recording = await rig.fetch(tmp_path / "a.mkv")

    assert recording.end_reason == "too_slow"
    assert len(list(recording.looks())) == 2  # of 15 kB each


async def test_it_ends_after_its_seconds_with_media_or_without(tmp_path: Path) -> None:
    rig = Rig(seconds=3.0)
    rig.recorder.begin(HEADER)
    for second in range(5):
        rig.look(second)
    silent = Rig(seconds=3.0)
    silent.recorder.begin(HEADER)
    silent.now_s = 103.0

    recording = await rig.fetch(tmp_path / "a.mkv")
    short = await silent.fetch(tmp_path / "b.mkv")

    assert (recording.end_reason, len(list(recording.looks()))) == ("seconds", 3)
    assert (short.end_reason, len(list(short.looks()))) == ("seconds", 0)


async def test_nobody_records_longer_than_the_service_allows(tmp_path: Path) -> None:
    rig = Rig(seconds=1e9, max_s=2.0)
    rig.recorder.begin(HEADER)
    for second in range(4):
        rig.look(second)

    assert (await rig.fetch(tmp_path / "a.mkv")).end_reason == "seconds"


async def test_it_ends_when_its_file_is_large_enough(tmp_path: Path) -> None:
    rig = Rig(max_bytes=100)
    rig.recorder.begin(HEADER)

    assert (await rig.fetch(tmp_path / "a.mkv")).end_reason == "bytes"


async def test_without_media_there_is_no_file() -> None:
    rig = Rig(wait_s=10.0)
    rig.now_s = 111.0

    async with asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.recorder.run())
            fetched = await rig.recorder.part(0, wait_s=5)
    assert fetched is None


async def test_a_file_that_nobody_fetches_is_given_up() -> None:
    rig = Rig(wait_s=10.0)
    rig.recorder.begin(HEADER)
    rig.look(0)
    running = asyncio.get_running_loop().create_task(rig.recorder.run())
    await asyncio.sleep(0.05)
    rig.now_s = 111.0

    await asyncio.wait_for(running, timeout=20)


async def test_the_end_waits_for_what_becomes_of_the_last_chunks(tmp_path: Path) -> None:
    rig = Rig()
    rig.recorder.begin(HEADER)
    rig.look(0)
    rig.recorder.expect([0])
    rig.recorder.stop("seconds")

    async with asyncio.TaskGroup() as group:
        fetching = group.create_task(rig.fetch(tmp_path / "a.mkv"))
        await asyncio.sleep(0.3)
        assert not fetching.done()
        rig.recorder.tell(told(0))

    assert [line.data["index"] for line in fetching.result().told] == [0]


async def test_a_file_that_is_dropped_is_given_up_at_once() -> None:
    rig = Rig()
    rig.recorder.begin(HEADER)
    rig.look(0)
    rig.recorder.expect([0])

    rig.recorder.drop()

    await asyncio.wait_for(rig.recorder.run(), timeout=20)
    assert not rig.recorder.is_open


@pytest.mark.parametrize("is_settled", [True, False])
async def test_the_end_waits_for_nothing_that_will_not_come(
    is_settled: bool, tmp_path: Path
) -> None:
    rig = Rig(settle_s=5.0)
    rig.recorder.begin(HEADER)
    rig.look(0)
    rig.recorder.expect([0])
    rig.recorder.stop("session_over", is_settled=is_settled)
    rig.now_s += 0.0 if is_settled else 6.0

    recording = await rig.fetch(tmp_path / "a.mkv")

    assert (recording.end_reason, list(recording.told)) == ("session_over", [])


async def test_the_media_is_there_without_the_store(tmp_path: Path) -> None:
    rig = Rig()
    rig.is_store_away = True
    rig.recorder.begin(HEADER)
    rig.look(0)
    rig.recorder.stop("stopped")

    recording = await rig.fetch(tmp_path / "a.mkv")

    assert (len(list(recording.looks())), list(recording.asked)) == (1, [])


async def test_only_the_first_header_and_the_first_reason_count(tmp_path: Path) -> None:
    rig = Rig()
    rig.recorder.begin(HEADER)
    rig.recorder.begin(HEADER)
    rig.recorder.stop("seconds")
    rig.recorder.stop("stopped")
    rig.look(1)

    recording = await rig.fetch(tmp_path / "a.mkv")

    assert (recording.end_reason, list(recording.looks())) == ("seconds", [])


def test_what_is_converted_once_is_the_same_ever_after() -> None:
    calls = []

    def samples() -> object:
        calls.append(1)
        return make_sound(0.0).convert()

    def fail() -> object:
        raise ValueError("undecodable")

    sound, broken = make_sound(100.0), make_picture(100.0)
    object.__setattr__(sound, "convert", samples)
    object.__setattr__(broken, "convert", fail)

    seen = convert([sound, broken])

    first, second = seen.items
    assert first.convert() is first.convert()  # type: ignore[union-attr]
    assert len(calls) == 1
    assert seen.num_bytes == 320 * 4
    for _ in range(2):
        with pytest.raises(ValueError, match="undecodable"):
            second.convert()  # type: ignore[union-attr]
