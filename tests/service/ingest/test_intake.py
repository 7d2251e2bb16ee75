import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from service.errors import SessionEnded, SessionNotFound, StoreUnavailable
from service.ingest.config import IngestConfig
from service.ingest.intake import Intake
from service.ingest.queue import QueueConfig
from service.media.chunk import Gap
from service.sessions.record import SessionId
from tests.eventually import eventually
from tests.records import make_record
from tests.service.ingest.items import make_picture, make_sound
from tests.service.ingest.replica import SESSION, Replica

MakeIntake = Callable[..., Intake]


@pytest.fixture
def make_intake(replica: Replica, config: IngestConfig) -> MakeIntake:
    def make(session_id: SessionId = SESSION, **changes: object) -> Intake:
        return Intake(
            session_id,
            replica.around,
            replace(config, **changes),  # type: ignore[arg-type]  # any field
            lambda now_s: None,
        )

    return make


def push(intake: Intake, start_s: float, stop_s: float, *, fps: int = 10) -> None:
    """Sound in frames of 100 ms and pictures, all of it at once, in order of time."""
    for tenth in range(round(start_s * 10), round(stop_s * 10)):
        intake.push(make_sound(tenth / 10, duration_s=0.1))
        if tenth % (10 // fps) == 0:
            intake.push(make_picture(tenth / 10))


async def run(intake: Intake) -> None:
    intake.finish()
    await asyncio.wait_for(intake.run(), timeout=20)


async def test_media_becomes_chunks_in_context(make_intake: MakeIntake, replica: Replica) -> None:
    intake = make_intake()
    intake.begin(has_video=True, has_audio=True)
    push(intake, 100.0, 104.5, fps=2)
    intake.gone()

    await run(intake)

    assert replica.llm.indices == {SESSION: [0, 1, 2]}
    assert intake.started_at_s == 100.0
    assert (await replica.around.store.get(SESSION)).started_at_s == 100.0
    assert [chunk.gaps for chunk in replica.encoder.chunks[:2]] == [(), ()]
    assert replica.frames("audio", "used") == 45
    assert replica.frames("video", "used") == 9


async def test_pictures_between_the_samples_are_never_converted(
    make_intake: MakeIntake, replica: Replica
) -> None:
    converted = []
    intake = make_intake()
    push(intake, 100.0, 100.1)
    running = asyncio.create_task(intake.run())
    await eventually(lambda: intake.started_at_s is not None)

    for tenth in range(1, 20):
        picture = make_picture(100.0 + tenth / 10)
        convert = picture.convert
        intake.push(
            replace(picture, convert=lambda c=convert, t=tenth: (converted.append(t), c())[1])
        )
    intake.gone()
    intake.finish()
    await asyncio.wait_for(running, timeout=20)

    # picture 1 shares its half second with the one that started the stream, unknown to the sampler
    assert converted == [1, 5, 10, 15]
    assert replica.frames("video", "skipped") == 16


async def test_a_session_goes_on_where_it_was(make_intake: MakeIntake, replica: Replica) -> None:
    store = replica.around.store
    await store.start(SESSION, 100.0)
    lease = await store.claim(SESSION, "compressor", "c", ttl_s=10)  # type: ignore[arg-type]  # a StrEnum's value
    for index in range(3):
        await store.append_chunk(lease, make_record(index))
    intake = make_intake()
    intake.begin(has_video=False, has_audio=True)
    for tenth in range(1090, 1121):
        intake.push(make_sound(tenth / 10, duration_s=0.1))
    intake.gone()

    await run(intake)

    assert intake.started_at_s == 100.0
    assert [chunk.index for chunk in replica.encoder.chunks] == [4, 5, 6]
    assert replica.encoder.chunks[0].gaps == (Gap("audio", 6.0, 3.0),)


async def test_media_waits_for_nobody_and_is_dropped_by_the_queues_policy(
    make_intake: MakeIntake, replica: Replica
) -> None:
    intake = make_intake(queue=QueueConfig(max_pictures=2, max_items=10))

    push(intake, 100.0, 101.0)

    assert replica.frames("video", "late") == 10
    assert replica.frames("audio", "late") == 0
    push(intake, 101.0, 101.2)
    assert replica.frames("audio", "late") == 2


async def test_frames_that_a_source_could_not_decode_are_counted(
    make_intake: MakeIntake, replica: Replica
) -> None:
    make_intake().discard("video")

    assert replica.frames("video", "undecodable") == 1


async def test_media_waits_while_the_store_is_away(
    make_intake: MakeIntake, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [StoreUnavailable("gone") for _ in range(5)]
    start = replica.around.store.start

    async def fail_first(session_id: SessionId, now_s: float) -> float:
        if failures:
            raise failures.pop()
        return await start(session_id, now_s)

    monkeypatch.setattr(replica.around.store, "start", fail_first)
    intake = make_intake()
    push(intake, 100.0, 102.2, fps=2)
    intake.gone()

    await run(intake)

    assert intake.started_at_s == 100.0
    assert replica.llm.indices == {SESSION: [0, 1]}


async def test_without_media_there_is_nothing_to_finish(
    make_intake: MakeIntake, replica: Replica
) -> None:
    intake = make_intake()
    intake.begin(has_video=True, has_audio=True)

    await run(intake)

    assert intake.started_at_s is None
    assert (await replica.around.store.get(SESSION)).started_at_s is None


async def test_a_session_that_ended_elsewhere_ends_the_work(
    make_intake: MakeIntake, replica: Replica
) -> None:
    replica.compressor.script.failures[0] = [SessionEnded(SESSION, reason="deleted")]
    intake = make_intake()
    push(intake, 100.0, 103.0)

    with pytest.raises(SessionEnded):
        await asyncio.wait_for(intake.run(), timeout=20)


async def test_a_session_that_is_gone_ends_the_work(make_intake: MakeIntake) -> None:
    intake = make_intake(SessionId("nobody"))
    push(intake, 100.0, 100.2)

    with pytest.raises(SessionNotFound):
        await asyncio.wait_for(intake.run(), timeout=20)


async def test_a_bug_in_the_conversion_costs_only_what_had_arrived(
    make_intake: MakeIntake, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> object:
        raise RuntimeError("a bug")

    intake = make_intake()
    intake.push(replace(make_sound(100.0), convert=fail))  # type: ignore[arg-type]  # a bug
    running = asyncio.create_task(intake.run())
    await eventually(lambda: "media lost" in caplog.text)

    push(intake, 100.1, 102.3)
    intake.gone()
    intake.finish()
    await asyncio.wait_for(running, timeout=20)

    assert replica.llm.indices == {SESSION: [0, 1]}


async def test_the_event_loop_is_free_while_media_is_converted(make_intake: MakeIntake) -> None:
    def slow() -> object:
        time.sleep(0.3)
        return make_sound(0.0).convert()

    intake = make_intake()
    intake.push(replace(make_sound(100.0), convert=slow))  # type: ignore[arg-type]  # its samples
    intake.finish()
    running = asyncio.create_task(intake.run())
    longest_s, last_s = 0.0, time.monotonic()
    while not running.done():
        await asyncio.sleep(0.005)
        longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()

    assert longest_s < 0.25
