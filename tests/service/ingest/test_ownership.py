import asyncio
from dataclasses import replace

import pytest

from service.errors import NotOwner, Unavailable
from service.ingest.config import IngestConfig
from service.ingest.worker import IngestWorker
from service.sessions.record import SessionStatus, Stage
from tests.eventually import eventually
from tests.media import make_audio
from tests.service.ingest.replica import OTHER, SESSION, Replica
from tests.webrtc import Microphone, Publisher


async def test_a_session_held_elsewhere_is_not_taken_unless_told_so(
    worker: IngestWorker, replica: Replica
) -> None:
    store = replica.around.store
    await store.claim(SESSION, Stage.INGEST, "replica-2", ttl_s=60)
    publisher = Publisher(Microphone())
    offer = await publisher.offer()

    with pytest.raises(NotOwner):
        await worker.offer(SESSION, offer)
    await worker.offer(SESSION, offer, steal_from="replica-2")

    assert (await store.get(SESSION)).owners == {Stage.INGEST: "replica-1"}
    await publisher.aclose()


async def test_a_session_taken_by_another_replica_is_let_go_silently(
    replica: Replica, patient: IngestConfig
) -> None:
    worker = IngestWorker(replica.around, replace(patient, lease_s=0.3))
    feed = await worker.feed(SESSION)

    store = replica.around.store
    await store.claim(SESSION, Stage.INGEST, "replica-2", ttl_s=60, steal_from="replica-1")

    await asyncio.wait_for(feed.wait_gone(), timeout=20)
    await eventually(lambda: worker.num_sessions == 0)
    assert await replica.is_at(SessionStatus.CONNECTING)
    await worker.aclose()
    assert (await store.get(SESSION)).owners == {Stage.INGEST: "replica-2"}


async def test_draining_logs_what_has_arrived_tells_the_publisher_and_takes_no_more(
    worker: IngestWorker, replica: Replica
) -> None:
    feed = await worker.feed(SESSION, ("audio",))
    for frame in make_audio(0, 1.0):
        feed.push(frame)
    await eventually(lambda: replica.frames("audio", "used") > 0)

    await worker.drain("replica_stops")

    with pytest.raises(Unavailable):
        await worker.feed(OTHER)
    assert (worker.num_sessions, worker.is_draining) == (0, True)
    assert replica.llm.indices == {SESSION: [0]}
    assert await replica.is_at(SessionStatus.IDLE)
    assert (await replica.around.store.get(SESSION)).owners == {}
    moving = (await replica.events())[-1]
    assert (moving.type, moving.data) == (
        "session.moving",
        {"stage": "ingest", "reason": "replica_stops"},
    )


async def test_session_that_has_moved_on_is_left_alone_by_its_old_replica(
    worker: IngestWorker, replica: Replica
) -> None:
    feed = await worker.feed(SESSION, ("audio",))
    feed.push(make_audio(0, 0.1)[0])
    store = replica.around.store
    await store.claim(SESSION, Stage.INGEST, "replica-2", ttl_s=60, steal_from="replica-1")

    await worker.drain("replica_stops")

    assert not await replica.is_at(SessionStatus.IDLE)
    assert (await store.get(SESSION)).owners == {Stage.INGEST: "replica-2"}


async def test_a_stopped_replica_leaves_its_sessions_open_and_complete(
    worker: IngestWorker, replica: Replica
) -> None:
    feed = await worker.feed(SESSION, ("audio",))
    for frame in make_audio(0, 0.5):
        feed.push(frame)
    await eventually(lambda: replica.is_at(SessionStatus.LIVE))

    await worker.aclose()

    assert await replica.is_at(SessionStatus.IDLE)
    assert replica.llm.indices == {SESSION: [0]}
