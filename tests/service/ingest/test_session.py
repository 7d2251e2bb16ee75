import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.errors import (
    AlreadyPublishing,
    BadRequest,
    NotOwner,
    OfferRejected,
    SessionNotFound,
    Unavailable,
)
from service.ingest.config import IngestConfig
from service.ingest.peer import Peer
from service.ingest.sdp import Offer
from service.ingest.session import IngestSession
from service.ingest.source import Feed
from service.sessions.record import SessionStatus, Stage
from tests.eventually import eventually
from tests.media import make_audio
from tests.service.ingest.replica import SESSION, Replica

KINDS = ("audio",)


class Harness:
    """A session and what it reported."""

    def __init__(self, replica: Replica, config: IngestConfig) -> None:
        self.replica = replica
        self.over: list[str | None] = []
        self.session = IngestSession(
            SESSION, replica.around, config, lambda _, reason: self.over.append(reason)
        )

    async def status(self) -> SessionStatus:
        return (await self.replica.around.store.get(SESSION)).status

    async def is_at(self, status: SessionStatus) -> bool:
        return await self.status() is status


@pytest.fixture
async def harness(replica: Replica, config: IngestConfig) -> AsyncIterator[Harness]:
    harness = Harness(replica, config)
    await harness.session.open(None)
    yield harness
    await harness.session.close()


@pytest.fixture
async def calm(replica: Replica, patient: IngestConfig) -> AsyncIterator[Harness]:
    """As `harness`, but nobody loses patience."""
    harness = Harness(replica, patient)
    await harness.session.open(None)
    yield harness
    await harness.session.close()


def publish(feed: Feed, start_s: float, stop_s: float) -> None:
    for frame in make_audio(start_s, stop_s):
        feed.push(frame)


async def test_a_publisher_connects_goes_live_and_leaves(calm: Harness) -> None:
    feed = await calm.session.feed(KINDS)
    assert await calm.status() is SessionStatus.CONNECTING

    publish(feed, 0.0, 0.2)
    await eventually(lambda: calm.is_at(SessionStatus.LIVE))
    await feed.aclose()
    await eventually(lambda: calm.is_at(SessionStatus.IDLE))

    assert await calm.replica.told() == ["connecting", "live", "idle"]
    told = {event.type: event.data for event in await calm.replica.events()}
    record = await calm.replica.around.store.get(SESSION)
    assert told["session.live"] == {"started_at_s": record.started_at_s}
    assert told["session.idle"] == {"reason": "gone"}
    assert not calm.session.has_publisher


async def test_what_a_publisher_sent_is_in_context_once_it_is_gone(calm: Harness) -> None:
    feed = await calm.session.feed(KINDS)
    publish(feed, 0.0, 0.5)
    await feed.aclose()

    await eventually(lambda: calm.replica.llm.indices == {SESSION: [0]})


async def test_a_publisher_that_comes_back_resumes_the_session(calm: Harness) -> None:
    store = calm.replica.around.store
    first = await calm.session.feed(KINDS)
    publish(first, 0.0, 0.5)
    await eventually(lambda: calm.is_at(SessionStatus.LIVE))
    started_at_s = (await store.get(SESSION)).started_at_s
    await first.aclose()
    await eventually(lambda: calm.is_at(SessionStatus.IDLE))

    second = await calm.session.feed(KINDS)
    publish(second, 7.0, 9.5)
    await second.aclose()
    await eventually(lambda: len(calm.replica.encoder.chunks) >= 2)

    assert (await store.get(SESSION)).started_at_s == started_at_s
    resumed = calm.replica.encoder.chunks[1]
    assert resumed.index >= 3
    assert resumed.gaps[0].start_s == 2.0
    assert resumed.gaps[0].duration_s == pytest.approx(resumed.start_s - 2.0 + 1.0, abs=1.0)


async def test_a_second_publisher_is_refused_while_the_first_is_alive(calm: Harness) -> None:
    feed = await calm.session.feed(KINDS)

    with pytest.raises(AlreadyPublishing):
        await calm.session.feed(KINDS)

    publish(feed, 0.0, 0.1)
    await eventually(lambda: calm.is_at(SessionStatus.LIVE))


async def test_a_publisher_that_fell_silent_can_be_replaced(harness: Harness) -> None:
    first = await harness.session.feed(KINDS)
    publish(first, 0.0, 0.1)
    await asyncio.sleep(0.4)

    second = await harness.session.feed(KINDS)

    await asyncio.wait_for(first.wait_gone(), timeout=5)
    publish(second, 0.0, 0.1)
    await eventually(lambda: harness.is_at(SessionStatus.LIVE))


async def test_silence_is_told_and_so_is_its_end(replica: Replica, config: IngestConfig) -> None:
    liveness = replace(config.liveness, idle_s=60.0)
    harness = Harness(replica, replace(config, liveness=liveness))
    await harness.session.open(None)
    feed = await harness.session.feed(KINDS)

    publish(feed, 0.0, 0.1)
    await eventually(lambda: harness.is_at(SessionStatus.IDLE))
    publish(feed, 1.0, 1.1)
    await eventually(lambda: harness.is_at(SessionStatus.LIVE))

    idle = next(event for event in await replica.events() if event.type == "session.idle")
    assert idle.data == {"reason": "silent"}
    await harness.session.close()


async def test_a_publisher_without_media_ends_the_session(harness: Harness) -> None:
    await harness.session.feed(KINDS)

    await eventually(lambda: harness.over == ["no_media"])


async def test_a_session_that_nobody_comes_back_to_ends(harness: Harness) -> None:
    feed = await harness.session.feed(KINDS)
    publish(feed, 0.0, 0.2)
    await feed.aclose()

    await eventually(lambda: harness.over == ["idle"])


async def test_a_session_that_ended_elsewhere_is_over(
    replica: Replica, patient: IngestConfig
) -> None:
    harness = Harness(replica, replace(patient, lease_s=0.3))
    await harness.session.open(None)
    await harness.session.feed(KINDS)

    await replica.around.store.end(SESSION, "deleted", 0.0)

    await eventually(lambda: harness.over == [None])
    await harness.session.close()


async def test_a_session_that_another_replica_took_is_over(
    replica: Replica, patient: IngestConfig
) -> None:
    harness = Harness(replica, replace(patient, lease_s=0.3))
    await harness.session.open(None)
    await harness.session.feed(KINDS)

    store = replica.around.store
    await store.claim(SESSION, Stage.INGEST, "replica-2", ttl_s=60, steal_from="replica-1")

    await eventually(lambda: harness.over == [None])
    await harness.session.close()


async def test_a_lease_is_renewed_as_long_as_the_session_is_held(
    replica: Replica, patient: IngestConfig
) -> None:
    harness = Harness(replica, replace(patient, lease_s=0.4))
    await harness.session.open(None)
    await harness.session.feed(KINDS)

    await asyncio.sleep(1.0)

    with pytest.raises(NotOwner):
        await replica.around.store.claim(SESSION, Stage.INGEST, "replica-2", ttl_s=60)
    await harness.session.close()


async def test_hanging_up_needs_the_name_of_the_connection(calm: Harness) -> None:
    await calm.session.feed(KINDS)

    with pytest.raises(SessionNotFound):
        await calm.session.hangup("another")
    with pytest.raises(SessionNotFound):
        await calm.session.trickle("another", "a=end-of-candidates", "*")

    assert calm.session.has_publisher


async def test_a_rejected_offer_leaves_the_place_free(
    calm: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    close = Peer.aclose

    async def watched(peer: Peer) -> None:
        await close(peer)
        closed.append(peer.state)

    monkeypatch.setattr(Peer, "aclose", watched)
    broken = Offer("v=0\r\nm=audio nine X 0\r\n", ("audio",), "abcd")

    with pytest.raises(OfferRejected):
        await calm.session.answer(broken)

    assert closed == ["closed"]
    assert not calm.session.has_begun
    assert not calm.session.has_publisher
    await calm.session.feed(KINDS)


async def test_a_fragment_for_a_publisher_without_webrtc_finds_nobody(calm: Harness) -> None:
    await calm.session.feed(KINDS)
    publisher = calm.session._publisher
    assert publisher is not None

    with pytest.raises((SessionNotFound, BadRequest)):
        await calm.session.trickle(publisher.resource_id, "a=end-of-candidates", "*")


async def test_a_parked_session_is_idle_complete_and_free(calm: Harness) -> None:
    feed = await calm.session.feed(KINDS)
    publish(feed, 0.0, 0.5)
    await eventually(lambda: calm.is_at(SessionStatus.LIVE))

    await calm.session.park(drain_s=5.0)

    assert await calm.status() is SessionStatus.IDLE
    assert calm.replica.llm.indices == {SESSION: [0]}
    assert (await calm.replica.around.store.get(SESSION)).owners == {}
    with pytest.raises(Unavailable):
        await calm.session.feed(KINDS)


@pytest.mark.parametrize("part", ["_registration.renew", "_intake.run"])
async def test_a_bug_ends_the_session_rather_than_leave_it_untended(
    harness: Harness,
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError("a bug")

    owner, name = part.split(".")
    monkeypatch.setattr(getattr(harness.session, owner), name, fail)

    await harness.session.feed(KINDS)

    await eventually(lambda: "internal_error" in harness.over)
    assert "a bug" in caplog.text


async def test_closing_leaves_no_task_behind(calm: Harness) -> None:
    before = asyncio.all_tasks()
    feed = await calm.session.feed(KINDS)
    publish(feed, 0.0, 0.5)
    await eventually(lambda: calm.is_at(SessionStatus.LIVE))

    await calm.session.close()
    await asyncio.sleep(0)

    assert {task for task in asyncio.all_tasks() if not task.done()} <= before
    feed.push(make_audio(1.0, 1.1)[0])
    assert calm.session.intake.num_pending == 0


async def test_pictures_that_are_too_large_are_told_once_for_each_publisher(
    calm: Harness, replica: Replica
) -> None:
    async def told() -> list[str]:
        return [e.data["reason"] for e in await replica.events() if e.type == "dropped"]

    for number in (1, 2):
        feed = await calm.session.feed(("video",))
        for _ in range(3):
            feed._sink.discard("video", "undecodable")
            feed._sink.discard("video", "oversized")

        async def is_told(number: int = number) -> bool:
            return len(await told()) == number

        await eventually(is_told)
        await asyncio.sleep(0.2)
        assert await told() == ["oversized"] * number
        await feed.aclose()
        await eventually(lambda: not calm.session.has_publisher)
