import asyncio
import contextvars
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.errors import (
    AlreadyPublishing,
    AtCapacity,
    EngineUnavailable,
    NotOwner,
    OfferRejected,
    PreconditionFailed,
    PreconditionRequired,
    SessionEnded,
    SessionNotFound,
    Unavailable,
    Unprocessable,
)
from service.ingest.config import IngestConfig
from service.ingest.whip import WhipAnswer
from service.ingest.worker import IngestWorker
from service.media.chunk import MediaChunk
from service.sessions.record import SessionId, SessionStatus, Stage
from tests.eventually import eventually
from tests.media import make_audio, make_video
from tests.service.ingest.replica import OTHER, SESSION, THIRD, Replica
from tests.webrtc import BrokenCamera, Camera, Microphone, Publisher, split_candidates


@pytest.fixture
async def worker(replica: Replica, patient: IngestConfig) -> AsyncIterator[IngestWorker]:
    worker = IngestWorker(replica.around, patient)
    yield worker
    await worker.aclose()


@pytest.fixture
async def hasty(replica: Replica, config: IngestConfig) -> AsyncIterator[IngestWorker]:
    """A worker that loses patience within a second."""
    worker = IngestWorker(replica.around, config)
    yield worker
    await worker.aclose()


async def publish(
    worker: IngestWorker, publisher: Publisher, session_id: SessionId = SESSION
) -> WhipAnswer:
    answer = await worker.offer(session_id, await publisher.offer())
    await publisher.accept(answer.sdp)
    return answer


async def is_at(replica: Replica, status: SessionStatus, session_id: SessionId = SESSION) -> bool:
    return (await replica.around.store.get(session_id)).status is status


def heard_s(chunk: MediaChunk) -> float:
    return chunk.mel.shape[1] / 100


@pytest.mark.webrtc
async def test_a_stream_reaches_the_context_as_it_goes_on(
    worker: IngestWorker, replica: Replica
) -> None:
    publisher = Publisher(Camera(), Microphone(), video_codec="VP8")
    await publish(worker, publisher)

    await eventually(lambda: len(replica.llm.indices[SESSION]) > 0)
    await publisher.aclose()

    record = await replica.around.store.get(SESSION)
    chunk = replica.encoder.chunks[0]
    assert chunk.index == 0
    assert chunk.mel.shape == (128, 200)
    assert all(grid is not None for grid in chunk.grids)
    # the second track begins a moment after the first
    assert all(gap.duration_s < 1.0 for gap in chunk.gaps)
    assert chunk.skew_s == pytest.approx(0.0, abs=1.0)
    assert record.lag_s is not None
    assert record.lag_s < 4.0
    assert replica.frames("video", "used") >= 4
    assert replica.frames("video", "skipped") > 10


@pytest.mark.webrtc
@pytest.mark.parametrize(
    ("codec", "kinds"),
    [("H264", ("audio", "video")), ("VP8", ("video",)), (None, ("audio",))],
    ids=["H.264 and Opus", "video only", "audio only"],
)
async def test_whatever_is_published_becomes_chunks(
    worker: IngestWorker, replica: Replica, codec: str | None, kinds: tuple[str, ...]
) -> None:
    make = {"audio": Microphone, "video": Camera}
    publisher = Publisher(*(make[kind]() for kind in kinds), video_codec=codec)
    answer = await publish(worker, publisher)
    await eventually(
        lambda: all(replica.frames(kind, "used") > 1 + 20 * (kind == "audio") for kind in kinds)
    )

    await worker.hangup(SESSION, answer.resource_id)
    await eventually(lambda: len(replica.encoder.chunks) > 0)
    await publisher.aclose()

    chunk = replica.encoder.chunks[0]
    assert (heard_s(chunk) > 0.3) == ("audio" in kinds)
    assert (len(chunk.grids) == 2 and chunk.grids[0] is not None) == ("video" in kinds)
    assert {gap.modality for gap in chunk.gaps} <= set(kinds)


@pytest.mark.webrtc
async def test_the_walk_through_of_a_whip_client(worker: IngestWorker, replica: Replica) -> None:
    publisher = Publisher(Microphone(), Camera())
    bare, fragment = split_candidates(await publisher.offer())

    answer = await worker.offer(SESSION, bare)
    assert await is_at(replica, SessionStatus.CONNECTING)
    assert answer.etag.startswith('"')
    await publisher.accept(answer.sdp)

    with pytest.raises(PreconditionRequired):
        await worker.trickle(SESSION, answer.resource_id, fragment, None)
    with pytest.raises(PreconditionFailed):
        await worker.trickle(SESSION, answer.resource_id, fragment, '"stale"')
    restart = fragment.replace("a=ice-ufrag:", "a=ice-ufrag:new")
    with pytest.raises(Unprocessable):
        await worker.trickle(SESSION, answer.resource_id, restart, "*")
    with pytest.raises(SessionNotFound):
        await worker.trickle(SESSION, "another", fragment, answer.etag)
    await worker.trickle(SESSION, answer.resource_id, fragment, answer.etag)
    await eventually(lambda: is_at(replica, SessionStatus.LIVE))

    with pytest.raises(SessionNotFound):
        await worker.hangup(SESSION, "another")
    with pytest.raises(SessionNotFound):
        await worker.check(SESSION, "another")
    await worker.check(SESSION, answer.resource_id)
    await worker.hangup(SESSION, answer.resource_id)
    with pytest.raises(SessionNotFound):
        await worker.check(SESSION, answer.resource_id)
    assert await is_at(replica, SessionStatus.IDLE)
    with pytest.raises(SessionNotFound):
        await worker.hangup(SESSION, answer.resource_id)
    await publisher.aclose()

    assert await replica.told() == ["connecting", "live", "idle"]


@pytest.mark.webrtc
async def test_a_publisher_comes_back_to_its_session(
    worker: IngestWorker, replica: Replica
) -> None:
    first, second = Publisher(Microphone()), Publisher(Microphone())
    await publish(worker, first)
    await eventually(lambda: is_at(replica, SessionStatus.LIVE))
    await first.aclose()
    await eventually(lambda: is_at(replica, SessionStatus.IDLE))

    await publish(worker, second)
    await eventually(lambda: is_at(replica, SessionStatus.LIVE))
    await second.aclose()

    assert await replica.told() == ["connecting", "live", "idle", "connecting", "live"]
    assert worker.num_sessions == 1


@pytest.mark.webrtc
async def test_a_second_publisher_is_refused_and_disturbs_nothing(
    worker: IngestWorker, replica: Replica
) -> None:
    first, second = Publisher(Microphone()), Publisher(Microphone())
    await publish(worker, first)
    await eventually(lambda: is_at(replica, SessionStatus.LIVE))

    with pytest.raises(AlreadyPublishing):
        await publish(worker, second)

    heard = replica.frames("audio", "used")
    await eventually(lambda: replica.frames("audio", "used") > heard + 5)
    await first.aclose()
    await second.aclose()


@pytest.mark.webrtc
async def test_of_two_offers_at_once_one_is_taken(worker: IngestWorker) -> None:
    publishers = [Publisher(Microphone()) for _ in range(2)]
    offers = [await publisher.offer() for publisher in publishers]

    answers = await asyncio.gather(
        *(worker.offer(SESSION, offer) for offer in offers), return_exceptions=True
    )

    assert sorted(type(answer).__name__ for answer in answers) == [
        "AlreadyPublishing",
        "WhipAnswer",
    ]
    for publisher in publishers:
        await publisher.aclose()


@pytest.mark.webrtc
async def test_frames_that_cannot_be_decoded_are_counted_and_the_session_goes_on(
    worker: IngestWorker, replica: Replica
) -> None:
    publisher = Publisher(BrokenCamera(), Microphone(), video_codec="VP8")
    await publish(worker, publisher)

    await eventually(lambda: replica.frames("video", "undecodable") > 2)
    await eventually(lambda: len(replica.encoder.chunks) > 0)
    await publisher.aclose()

    assert replica.encoder.chunks[0].grids == (None, None)
    assert replica.encoder.chunks[0].mel.shape == (128, 200)


@pytest.mark.webrtc
async def test_an_offer_leaves_nothing_of_its_request_behind(
    worker: IngestWorker, replica: Replica
) -> None:
    request = contextvars.ContextVar("request", default="none")
    seen = []
    encode = replica.encoder.encode

    async def watched(chunk: MediaChunk) -> object:
        seen.append(request.get())
        return await encode(chunk)

    replica.encoder.encode = watched  # type: ignore[method-assign,assignment]  # looks on
    request.set("r1")
    publisher = Publisher(Microphone())
    answer = await publish(worker, publisher)
    await eventually(lambda: replica.frames("audio", "used") > 10)
    await worker.hangup(SESSION, answer.resource_id)

    await eventually(lambda: len(seen) > 0)
    await publisher.aclose()

    assert seen == ["none"]


@pytest.mark.webrtc
async def test_media_ports_stay_within_their_range(replica: Replica, patient: IngestConfig) -> None:
    worker = IngestWorker(replica.around, replace(patient, udp_ports=(41_000, 41_099)))
    publisher = Publisher(Microphone())

    answer = await worker.offer(SESSION, await publisher.offer())

    lines = [line for line in answer.sdp.splitlines() if line.startswith("a=candidate")]
    assert lines
    assert all(41_000 <= int(line.split()[5]) <= 41_099 for line in lines)
    await worker.aclose()
    await publisher.aclose()


@pytest.mark.parametrize("sdp", ["", "hello", "v=0\r\n", "v=0\r\nm=audio\r\n"])
async def test_a_bad_offer_is_rejected_and_holds_no_place(
    worker: IngestWorker, replica: Replica, sdp: str
) -> None:
    with pytest.raises(OfferRejected):
        await worker.offer(SESSION, sdp)

    assert worker.num_sessions == 0
    assert await is_at(replica, SessionStatus.CREATED)


@pytest.mark.webrtc
async def test_an_offer_that_fails_late_holds_no_place_either(
    worker: IngestWorker, replica: Replica
) -> None:
    publisher = Publisher(Microphone())
    offer = (await publisher.offer()).replace("opus/48000/2", "opus/8000")
    await publisher.aclose()

    with pytest.raises(OfferRejected):
        await worker.offer(SESSION, offer)

    assert worker.num_sessions == 0
    assert (await replica.around.store.get(SESSION)).owners == {}


async def test_sessions_that_are_not_there_or_over_take_no_offer(
    worker: IngestWorker, replica: Replica
) -> None:
    await replica.around.store.end(OTHER, "deleted", 0.0)

    with pytest.raises(SessionNotFound):
        await worker.feed(SessionId("nobody"))
    with pytest.raises(SessionEnded):
        await worker.feed(OTHER)
    with pytest.raises(SessionNotFound):
        await worker.hangup(SESSION, "r")
    with pytest.raises(SessionNotFound):
        await worker.trickle(SESSION, "r", "a=end-of-candidates", "*")
    assert worker.num_sessions == 0


async def test_a_full_replica_refuses_new_sessions_only(worker: IngestWorker) -> None:
    feed = await worker.feed(SESSION)
    await worker.feed(OTHER)

    with pytest.raises(AtCapacity, match="limit of 2"):
        await worker.feed(THIRD)

    await feed.aclose()
    await eventually(lambda: worker._sessions[SESSION]._publisher is None)
    await worker.feed(SESSION)


async def test_two_sessions_never_mix(worker: IngestWorker, replica: Replica) -> None:
    ears, eyes = await worker.feed(SESSION, ("audio",)), await worker.feed(OTHER, ("video",))
    for sound in make_audio(0, 4.1):
        ears.push(sound)
    for picture in make_video(0, 4.1, fps=2):
        eyes.push(picture)

    await eventually(lambda: replica.llm.indices == {SESSION: [0, 1], OTHER: [0, 1]})

    for chunk in replica.encoder.chunks:
        is_heard = chunk.mel.shape[1] > 0
        assert is_heard == (chunk.grids == ())
    events = await replica.events(OTHER)
    assert {event.session_id for event in events} == {OTHER}


async def test_without_media_a_session_ends_and_says_why(
    hasty: IngestWorker, replica: Replica
) -> None:
    await hasty.feed(SESSION)

    await eventually(lambda: is_at(replica, SessionStatus.ENDED))
    await eventually(lambda: hasty.num_sessions == 0)

    assert (await replica.around.store.get(SESSION)).end_reason == "no_media"
    ended = (await replica.events())[-1]
    assert (ended.type, ended.data) == ("session.ended", {"reason": "no_media"})
    await eventually(lambda: replica.llm.closed == replica.compressor.closed == [SESSION])


async def test_an_idle_session_ends_and_says_why(hasty: IngestWorker, replica: Replica) -> None:
    feed = await hasty.feed(SESSION, ("audio",))
    feed.push(make_audio(0, 0.1)[0])
    await feed.aclose()

    await eventually(lambda: is_at(replica, SessionStatus.ENDED))

    assert (await replica.around.store.get(SESSION)).end_reason == "idle"


async def test_ending_closes_the_publisher_and_can_be_repeated(
    worker: IngestWorker, replica: Replica
) -> None:
    feed = await worker.feed(SESSION)

    await worker.end(SESSION, "deleted")
    await worker.end(SESSION, "deleted again")

    await asyncio.wait_for(feed.wait_gone(), timeout=5)
    assert (await replica.around.store.get(SESSION)).end_reason == "deleted"
    assert (await replica.told())[-1] == "ended"
    assert (await replica.told()).count("ended") == 1
    assert worker.num_sessions == 0


async def test_a_session_ends_even_if_a_stage_does_not_answer(
    worker: IngestWorker, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(session_id: SessionId) -> None:
        raise EngineUnavailable("restarting")

    monkeypatch.setattr(replica.llm, "close", fail)
    await worker.feed(SESSION)

    await worker.end(SESSION, "deleted")

    assert replica.compressor.closed == [SESSION]
    assert await is_at(replica, SessionStatus.ENDED)


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
    assert await is_at(replica, SessionStatus.CONNECTING)
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
    assert await is_at(replica, SessionStatus.IDLE)
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

    assert not await is_at(replica, SessionStatus.IDLE)
    assert (await store.get(SESSION)).owners == {Stage.INGEST: "replica-2"}


async def test_a_stopped_replica_leaves_its_sessions_open_and_complete(
    worker: IngestWorker, replica: Replica
) -> None:
    feed = await worker.feed(SESSION, ("audio",))
    for frame in make_audio(0, 0.5):
        feed.push(frame)
    await eventually(lambda: is_at(replica, SessionStatus.LIVE))

    await worker.aclose()

    assert await is_at(replica, SessionStatus.IDLE)
    assert replica.llm.indices == {SESSION: [0]}


async def test_held_sessions_are_counted(worker: IngestWorker, replica: Replica) -> None:
    def gauge() -> float | None:
        name, labels = "omnisift_sessions_active", {"stage": "ingest"}
        return replica.around.metrics.registry.get_sample_value(name, labels)

    await worker.feed(SESSION)
    await worker.feed(OTHER)
    assert gauge() == 2

    await worker.end(SESSION, "deleted")
    assert gauge() == 1
