import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.errors import AtCapacity
from service.ingest.config import IngestConfig
from service.ingest.source import Feed
from service.ingest.worker import IngestWorker
from service.sessions.record import SessionId
from tests.eventually import eventually
from tests.media import make_audio
from tests.service.ingest.replica import OTHER, SESSION, THIRD, FakeClock, Replica


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def timed(
    replica: Replica, patient: IngestConfig, clock: FakeClock
) -> AsyncIterator[IngestWorker]:
    """A worker with room for three, by a clock that tests move."""
    around = replace(replica.around, clock=clock)
    worker = IngestWorker(around, replace(patient, max_sessions=3))
    yield worker
    await worker.aclose()


def sound(feed: Feed, start_s: float, stop_s: float) -> None:
    for frame in make_audio(start_s, stop_s):
        feed.push(frame)


async def stream(
    worker: IngestWorker, replica: Replica, clock: FakeClock, session_id: SessionId, *, lag_s: float
) -> Feed:
    """Publish one chunk of 2 s, which is in context `lag_s` after its end."""
    gate = replica.llm.script.gates[0] = asyncio.Event()
    is_entered = replica.llm.script.entered[0] = asyncio.Event()
    feed, end_s = await worker.feed(session_id, ("audio",)), clock.now_s + 2.0
    clock.now_s = end_s + 0.25
    sound(feed, 0.0, 2.02)  # what is beyond its end is too little for another
    await asyncio.wait_for(is_entered.wait(), timeout=20)
    clock.now_s = end_s + lag_s
    gate.set()
    await eventually(lambda: is_told(replica, session_id))
    return feed


async def is_told(replica: Replica, session_id: SessionId) -> bool:
    """A chunk is in context, and its lag is known."""
    return "chunk" in [event.type for event in await replica.events(session_id)]


async def test_a_full_replica_refuses_new_sessions_only(worker: IngestWorker) -> None:
    feed = await worker.feed(SESSION)
    await worker.feed(OTHER)

    with pytest.raises(AtCapacity, match="limit of 2"):
        await worker.feed(THIRD)

    await feed.aclose()
    await eventually(lambda: worker._sessions[SESSION]._publisher is None)
    await worker.feed(SESSION)


async def test_held_sessions_are_counted(worker: IngestWorker, replica: Replica) -> None:
    def gauge() -> float | None:
        name, labels = "omnisift_sessions_active", {"stage": "ingest"}
        return replica.around.metrics.registry.get_sample_value(name, labels)

    await worker.feed(SESSION)
    await worker.feed(OTHER)
    assert gauge() == 2

    await worker.end(SESSION, "deleted")
    assert gauge() == 1


async def test_a_replica_lags_as_its_median_session_with_a_publisher(
    timed: IngestWorker, replica: Replica, clock: FakeClock
) -> None:
    assert timed.lag_s == 0.0

    lags_s = {SESSION: 1.0, OTHER: 2.0, THIRD: 5.0}
    feeds = {
        id_: await stream(timed, replica, clock, id_, lag_s=lag_s) for id_, lag_s in lags_s.items()
    }
    assert timed.lag_s == 2.0

    await feeds[OTHER].aclose()
    await eventually(lambda: timed.lag_s == 3.0)  # between the two that are left
    await feeds[THIRD].aclose()
    await eventually(lambda: timed.lag_s == 1.0)
    await feeds[SESSION].aclose()
    await eventually(lambda: timed.lag_s == 0.0)
    assert timed.num_sessions == 3


async def test_a_chunk_that_waits_counts_as_lag_before_it_is_through(
    timed: IngestWorker, replica: Replica, clock: FakeClock
) -> None:
    feed = await stream(timed, replica, clock, SESSION, lag_s=0.5)
    gate = replica.llm.script.gates[1] = asyncio.Event()
    clock.now_s = 1004.25
    sound(feed, 2.02, 4.02)
    await asyncio.wait_for(replica.llm.script.entered[1].wait(), timeout=20)
    assert timed.lag_s == 0.5  # the last chunk's, since this is 0.25 s late so far

    clock.now_s = 1010.0
    assert timed.lag_s == 6.0

    gate.set()
    await eventually(lambda: timed._sessions[SESSION].intake.is_settled)
    clock.now_s = 1020.0
    assert timed.lag_s == 6.0  # as it was when the chunk was through


async def test_media_is_counted_from_its_first_frame_while_its_publisher_is_there(
    timed: IngestWorker, clock: FakeClock
) -> None:
    assert timed.media_s == []
    feed = await timed.feed(SESSION, ("audio",))
    silent = await timed.feed(OTHER, ("audio",))
    clock.now_s = 1003.0
    assert timed.media_s == [0.0, 0.0]

    sound(feed, 3.0, 3.1)
    await eventually(lambda: timed._sessions[SESSION].intake.started_at_s is not None)
    clock.now_s = 1007.5
    assert timed.media_s == [4.5, 0.0]

    await silent.aclose()
    await eventually(lambda: timed.media_s == [4.5])
    await feed.aclose()
    await eventually(lambda: timed.media_s == [])


async def test_media_that_comes_back_counts_from_where_its_session_began(
    timed: IngestWorker, clock: FakeClock
) -> None:
    first = await timed.feed(SESSION, ("audio",))
    sound(first, 0.0, 0.1)
    await eventually(lambda: timed._sessions[SESSION].intake.started_at_s is not None)
    await first.aclose()
    await eventually(lambda: timed.media_s == [])

    clock.now_s = 1012.0
    await timed.feed(SESSION, ("audio",))

    assert timed.media_s == [12.0]
