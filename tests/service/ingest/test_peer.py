import asyncio
import contextvars
import gc
import logging
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from service.clock import steady_clock
from service.errors import OfferRejected
from service.ingest.peer import DecodeFailures, Peer, PeerConfig
from service.ingest.sdp import Candidate, Offer, parse_fragment, parse_offer
from service.ingest.source import Picture, Sound
from tests.eventually import eventually
from tests.service.ingest.sink import Sink
from tests.webrtc import BrokenCamera, Camera, Microphone, Publisher, split_candidates

pytestmark = pytest.mark.webrtc

WAIT_S = 20.0


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def peer(sink: Sink) -> AsyncIterator[Peer]:
    peer = Peer(sink, steady_clock(), PeerConfig())
    yield peer
    await peer.aclose()


async def connect(peer: Peer, publisher: Publisher) -> str:
    answer = await peer.answer(parse_offer(await publisher.offer()))
    await publisher.accept(answer)
    return answer


def period_s(items: Sequence[Picture | Sound]) -> float:
    return float(np.median(np.diff([item.at_s for item in items])))


@pytest.mark.parametrize(
    ("codec", "tracks"),
    [
        ("VP8", (Camera, Microphone)),
        ("H264", (Microphone, Camera)),
        ("VP8", (Camera,)),
        (None, (Microphone,)),
    ],
    ids=["VP8 and Opus", "H.264 and Opus", "video only", "audio only"],
)
async def test_media_arrives_decoded(
    peer: Peer, sink: Sink, codec: str | None, tracks: tuple[type[MediaStreamTrack], ...]
) -> None:
    publisher = Publisher(*(make() for make in tracks), video_codec=codec)

    answer = await connect(peer, publisher)
    await eventually(
        lambda: (
            (Camera not in tracks or len(sink.pictures) > 8)
            and (Microphone not in tracks or len(sink.sounds) > 25)
        )
    )
    await publisher.aclose()

    assert "a=recvonly" in answer
    assert "a=sendrecv" not in answer
    assert answer.count("a=candidate") > 0
    assert ("x-google-start-bitrate" in answer) == (Camera in tracks)
    assert sink.discarded == {}
    if Camera in tracks:
        pixels = sink.pictures[4].convert()
        assert (pixels.shape, pixels.dtype) == ((96, 128, 3), np.uint8)
        assert pixels.std() < 8
        assert period_s(sink.pictures) == pytest.approx(1 / 15, abs=1e-4)
    if Microphone in tracks:
        samples = torch.cat([sound.convert() for sound in sink.sounds])
        spectrum = torch.fft.rfft(samples[-6400:] * torch.hann_window(6400)).abs()
        assert int(spectrum.argmax()) * 16_000 / 6400 == pytest.approx(440, abs=3)
        assert period_s(sink.sounds) == pytest.approx(0.02, abs=1e-4)


async def test_nothing_is_sent_to_a_publisher_that_would_receive(peer: Peer) -> None:
    publisher = Publisher(Camera(), Microphone(), direction="sendrecv")

    answer = await connect(peer, publisher)
    await publisher.aclose()

    assert answer.count("a=recvonly") == 2
    assert "a=sendrecv" not in answer


async def test_a_publisher_that_hangs_up_is_gone(peer: Peer, sink: Sink) -> None:
    publisher = Publisher(Microphone())
    await connect(peer, publisher)
    await eventually(lambda: len(sink.sounds) > 0)
    assert peer.state == "connected"

    await publisher.aclose()

    await asyncio.wait_for(peer.wait_gone(), WAIT_S)
    assert peer.state == "closed"


async def test_nothing_is_pushed_after_closing(peer: Peer, sink: Sink) -> None:
    publisher = Publisher(Microphone())
    await connect(peer, publisher)
    await eventually(lambda: len(sink.sounds) > 0)

    await peer.aclose()
    number = len(sink.sounds)
    await asyncio.sleep(0.1)
    await publisher.aclose()

    await asyncio.wait_for(peer.wait_gone(), WAIT_S)
    assert len(sink.sounds) == number


async def test_candidates_may_trickle(peer: Peer, sink: Sink) -> None:
    publisher = Publisher(Microphone(), Camera())
    bare, text = split_candidates(await publisher.offer())
    assert "candidate" not in bare
    await publisher.accept(await peer.answer(parse_offer(bare)))

    fragment = parse_fragment(text)
    unusable = Candidate("1 1 tcp 1 host.invalid 9 typ host tcptype active", "0")
    await peer.add_candidates([unusable, *fragment.candidates], is_last=fragment.is_last)

    await eventually(lambda: len(sink.sounds) > 0 and len(sink.pictures) > 0)
    await publisher.aclose()


async def test_frames_that_cannot_be_decoded_are_counted_and_spare_the_rest(
    peer: Peer, sink: Sink
) -> None:
    counts: Counter[str] = Counter()
    failures = DecodeFailures(lambda modality: counts.update([modality]))
    failures.open()
    publisher = Publisher(BrokenCamera(), Microphone(), video_codec="VP8")
    await connect(peer, publisher)

    await eventually(lambda: len(sink.sounds) > 10 and counts["video"] > 2)
    failures.close()
    await publisher.aclose()

    assert sink.pictures == []
    assert set(counts) == {"video"}


async def test_closed_failures_count_no_more() -> None:
    counts: Counter[str] = Counter()
    failures = DecodeFailures(lambda modality: counts.update([modality]))
    failures.open()
    logger = logging.getLogger("aiortc.rtcrtpreceiver")

    logger.warning("RTCRtpReceiver(%s) failed to decode %s frame: %s", "audio", "opus", "bad")
    logger.warning("RTCRtpReceiver(%s) did something else", "audio")
    failures.close()
    logger.warning("RTCRtpReceiver(%s) failed to decode %s frame: %s", "audio", "opus", "bad")

    assert counts == {"audio": 1}


async def test_sizes_may_change_on_the_way(peer: Peer, sink: Sink) -> None:
    publisher = Publisher(Camera(sizes=((96, 128), (48, 64))), video_codec="VP8")
    await connect(peer, publisher)

    await eventually(lambda: len(sink.pictures) > 11)
    await publisher.aclose()

    assert {picture.convert().shape for picture in sink.pictures} == {(96, 128, 3), (48, 64, 3)}


async def test_a_connection_keeps_nothing_of_the_request_that_offered(sink: Sink) -> None:
    class Request:
        pass

    async def serve(offer: Offer) -> tuple[Peer, str]:
        value = Request()
        request.set(value)
        kept.append(weakref.ref(value))
        peer = Peer(sink, steady_clock(), PeerConfig())
        return peer, await peer.answer(offer)

    request: contextvars.ContextVar[Request] = contextvars.ContextVar("request")
    kept: list[weakref.ref[Request]] = []
    publisher = Publisher(Microphone())
    offer = parse_offer(await publisher.offer())

    peer, answer = await asyncio.create_task(serve(offer))
    await publisher.accept(answer)
    await eventually(lambda: len(sink.sounds) > 0)
    gc.collect()
    is_kept = kept[0]() is not None
    await peer.aclose()
    await publisher.aclose()

    assert not is_kept


async def test_an_offer_that_the_library_cannot_read_is_rejected(peer: Peer) -> None:
    with pytest.raises(OfferRejected):
        await peer.answer(Offer("v=0\r\nm=audio nine X 0\r\n", ("audio",), "abcd"))


class Jumping(MediaStreamTrack):
    """A decoded track whose resolution jumps, for a moment beyond what is taken."""

    kind = "video"
    SIZES = ((320, 240), (7680, 4320), (640, 480), (16_000, 64), (64, 16_000), (320, 240))

    def __init__(self) -> None:
        super().__init__()
        self._left = list(self.SIZES)

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(0.02)
        if not self._left:
            raise MediaStreamError
        number = len(self.SIZES) - len(self._left)
        frame = av.VideoFrame(*self._left.pop(0), "yuv420p")
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
        return frame


async def test_pictures_beyond_the_limit_are_counted_and_never_converted(sink: Sink) -> None:
    peer = Peer(sink, steady_clock(), PeerConfig(max_frame_pixels=1920 * 1080, max_frame_side=8192))
    peer._on_track(Jumping())

    await eventually(lambda: len(sink.pictures) == 3)

    assert sink.discarded == {"video": 3}
    assert sink.results == {"oversized"}
    shapes = [picture.convert().shape for picture in sink.pictures]
    assert shapes == [(240, 320, 3), (480, 640, 3), (240, 320, 3)]
    await peer.aclose()
