import asyncio
import contextvars
from dataclasses import replace

import pytest

from service.errors import (
    AlreadyPublishing,
    OfferRejected,
    PreconditionFailed,
    PreconditionRequired,
    SessionEnded,
    SessionNotFound,
    Unprocessable,
)
from service.ingest.config import IngestConfig
from service.ingest.whip import WhipAnswer
from service.ingest.worker import IngestWorker
from service.media.chunk import MediaChunk
from service.sessions.record import SessionId, SessionStatus
from tests.eventually import eventually
from tests.media import make_audio, make_video
from tests.service.ingest.replica import OTHER, SESSION, Replica
from tests.webrtc import BrokenCamera, Camera, Microphone, Publisher, split_candidates


async def publish(
    worker: IngestWorker, publisher: Publisher, session_id: SessionId = SESSION
) -> WhipAnswer:
    answer = await worker.offer(session_id, await publisher.offer())
    await publisher.accept(answer.sdp)
    return answer


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
    assert await replica.is_at(SessionStatus.CONNECTING)
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
    await eventually(lambda: replica.is_at(SessionStatus.LIVE))

    with pytest.raises(SessionNotFound):
        await worker.hangup(SESSION, "another")
    with pytest.raises(SessionNotFound):
        await worker.check(SESSION, "another")
    await worker.check(SESSION, answer.resource_id)
    await worker.hangup(SESSION, answer.resource_id)
    with pytest.raises(SessionNotFound):
        await worker.check(SESSION, answer.resource_id)
    assert await replica.is_at(SessionStatus.IDLE)
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
    await eventually(lambda: replica.is_at(SessionStatus.LIVE))
    await first.aclose()
    await eventually(lambda: replica.is_at(SessionStatus.IDLE))

    await publish(worker, second)
    await eventually(lambda: replica.is_at(SessionStatus.LIVE))
    await second.aclose()

    assert await replica.told() == ["connecting", "live", "idle", "connecting", "live"]
    assert worker.num_sessions == 1


@pytest.mark.webrtc
async def test_a_second_publisher_is_refused_and_disturbs_nothing(
    worker: IngestWorker, replica: Replica
) -> None:
    first, second = Publisher(Microphone()), Publisher(Microphone())
    await publish(worker, first)
    await eventually(lambda: replica.is_at(SessionStatus.LIVE))

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
    assert await replica.is_at(SessionStatus.CREATED)


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
