import asyncio

from service.ingest.cutter import Cutter
from service.ingest.recording.journal import Header
from service.ingest.recording.recorder import Recorder, RecordingConfig
from service.ingest.recording.taping import Taping
from service.media.chunk import MediaChunk
from service.media.chunker import Chunker
from service.sessions.record import Session, SessionConfig, SessionId, SessionStatus, Turn
from tests.service.ingest.recording.tapes import HEADER, make_looks


class Listener(Recorder):
    """Keeps the header."""

    header: Header | None = None

    def begin(self, header: Header) -> None:
        self.header = header
        super().begin(header)


def make_recorder() -> Listener:
    async def turns() -> list[Turn]:
        return []

    return Listener(60.0, RecordingConfig(), lambda: 100.0, turns)


def make_taping(last_index: int = -1) -> Taping:
    session = Session(
        SessionId("s"),
        SessionConfig("full"),
        SessionStatus.LIVE,
        99.0,
        started_at_s=100.0,
        last_index=last_index,
    )
    cutter = Cutter(Chunker(HEADER.chunker), 100.0)
    return Taping(session, cutter, HEADER.chunker, RecordingConfig())


async def cut(taping: Taping, looks: slice = slice(None)) -> list[MediaChunk]:
    chunks = []
    for items, now_s in make_looks()[looks]:
        chunks += await taping.cut(items, now_s)
    return chunks


async def test_cutting_gives_the_same_with_a_recorder_and_without() -> None:
    plain, recorded = make_taping(), make_taping()
    recorded.record(make_recorder(), 100.0)

    wanted, got = await asyncio.gather(cut(plain), cut(recorded))

    assert [chunk.index for chunk in got] == [chunk.index for chunk in wanted] == [0, 1]
    for one, other in zip(got, wanted, strict=True):
        assert one.mel.equal(other.mel)
        assert one.marks == other.marks


async def test_a_recording_from_the_first_media_on_is_whole() -> None:
    taping, recorder = make_taping(), make_recorder()

    taping.record(recorder, 100.0)

    assert recorder.header is not None
    assert (recorder.header.is_whole, recorder.header.after_index) == (True, -1)
    assert recorder.header.config == SessionConfig("full")


async def test_a_late_recording_begins_with_the_next_chunk() -> None:
    taping, recorder = make_taping(), make_recorder()
    await cut(taping, slice(0, 4))

    taping.record(recorder, 103.0)

    assert recorder.header is not None
    assert (recorder.header.is_whole, recorder.header.after_index) == (False, 1)


async def test_a_session_that_comes_from_another_replica_is_not_whole() -> None:
    taping, recorder = make_taping(last_index=7), make_recorder()

    taping.record(recorder, 110.0)

    assert recorder.header is not None
    assert (recorder.header.is_whole, recorder.header.after_index) == (False, 7)
