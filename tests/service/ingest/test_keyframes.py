"""What a video's decoder is given after a loss."""

import asyncio
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import RTCRtpCodecParameters
from aiortc.codecs import depayload, get_encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from service.clock import steady_clock
from service.ingest.keyframes import (
    ASK_EVERY,
    LOST_AFTER_S,
    MAX_WITHHELD,
    VIDEO_CLOCK_HZ,
    DecodableFrames,
    is_keyframe,
)
from service.ingest.peer import Peer, PeerConfig
from service.ingest.sdp import parse_offer
from service.ingest.source import Picture
from tests.eventually import eventually
from tests.service.ingest.sink import Sink
from tests.webrtc import Paced, Publisher

FPS = 15
FRAME_TICKS = VIDEO_CLOCK_HZ // FPS
KEY = b"\x10\x00\x00\x9d\x01\x2a whole"
DELTA = b"\x11\x00\x00 changes"
LONG = int(LOST_AFTER_S * FPS) + 2


class Buffer:
    """One packet a frame unless told; `frames` are the data of those that came out."""

    def __init__(self, *, first: int = 65_530) -> None:
        self.num_withheld = 0
        self.num_asked = 0
        self.frames: list[bytes] = []
        self._first = first
        self._frames = DecodableFrames(JitterBuffer(512, is_video=True), self._count)

    def send(self, number: int, data: bytes = DELTA, *, frame: int | None = None) -> None:
        ticks = (number if frame is None else frame) * FRAME_TICKS
        packet = RtpPacket(
            sequence_number=(self._first + number) % (1 << 16),
            timestamp=((1 << 32) - 3 * FRAME_TICKS + ticks) % (1 << 32),
        )
        packet._data = data
        must_ask, found = self._frames.add(packet)
        self.num_asked += must_ask
        if found is not None:
            self.frames.append(found.data)

    def _count(self) -> None:
        self.num_withheld += 1


def test_whole_stream_passes_as_it_is() -> None:
    buffer = Buffer()
    for number in range(50):
        buffer.send(number, b"%d" % number)

    # a frame is known to be whole when the next one begins
    assert buffer.frames == [b"%d" % number for number in range(49)]
    assert (buffer.num_asked, buffer.num_withheld) == (0, 0)


def test_packet_that_comes_late_is_waited_for() -> None:
    buffer = Buffer()
    for number in (0, 1, *range(3, LONG), 2, *range(LONG, 3 * LONG)):
        buffer.send(number, b"%d" % number)

    assert buffer.frames == [b"%d" % number for number in range(3 * LONG - 1)][: len(buffer.frames)]
    assert len(buffer.frames) > LONG
    assert (buffer.num_asked, buffer.num_withheld) == (0, 0)


def test_after_a_loss_nothing_is_decoded_before_the_next_keyframe() -> None:
    buffer = Buffer()
    for number in (0, 1, *range(3, 3 + LONG)):
        buffer.send(number, b"%d" % number)
    assert buffer.num_asked == 1

    buffer.send(3 + LONG, KEY)
    buffer.send(4 + LONG, b"after it")
    buffer.send(5 + LONG)

    # what is lost may have been the end of frame 1
    assert buffer.frames == [b"0", KEY, b"after it"]
    assert buffer.num_withheld == LONG


def test_keyframe_without_its_beginning_is_none() -> None:
    buffer = Buffer()
    buffer.send(0)
    buffer.send(1)
    # of the frame that the hole is in only the end has come, and it looks like a beginning
    buffer.send(3, b"\x00\x00\x00 a tail", frame=2)
    for number in range(4, 5 + LONG):
        buffer.send(number)

    assert buffer.frames == [DELTA]


def test_more_than_the_buffer_holds_is_a_loss_too() -> None:
    buffer = Buffer()
    for number in (0, 1, *range(1000, 1010)):
        buffer.send(number)
    buffer.send(1010, KEY)
    buffer.send(1011)

    assert buffer.frames == [DELTA, KEY]
    assert buffer.num_asked >= 1


def test_stream_that_begins_anew_is_a_loss_too() -> None:
    buffer = Buffer(first=30_000)
    for number in (0, 1, -20_000, -19_999):
        buffer.send(number)
    buffer.send(-19_998, KEY)
    buffer.send(-19_997)

    assert buffer.frames == [DELTA, KEY]


def test_keyframe_is_asked_for_again_and_not_waited_for_in_vain() -> None:
    buffer = Buffer()
    buffer.send(0)
    for number in range(2, 2 + LONG + MAX_WITHHELD):
        buffer.send(number)

    assert buffer.num_withheld == MAX_WITHHELD
    assert buffer.num_asked == MAX_WITHHELD // ASK_EVERY
    assert len(buffer.frames) > 1


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_keyframes_of_real_encoders_are_known(name: str) -> None:
    codec = RTCRtpCodecParameters(
        mimeType=f"video/{name}", clockRate=VIDEO_CLOCK_HZ, payloadType=97
    )
    encoder = get_encoder(codec)
    kinds = []
    for number in range(6):
        frame = picture(number)
        payloads, _ = encoder.encode(frame, force_keyframe=number in (0, 4))
        kinds.append(is_keyframe(b"".join(depayload(codec, payload) for payload in payloads)))

    assert kinds == [True, False, False, False, True, False]


@pytest.mark.parametrize("data", [b"", b"\x10", b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\xff" * 9])
def test_what_is_no_frame_is_no_keyframe(data: bytes) -> None:
    assert not is_keyframe(data)


def number_of(seen: Picture) -> int:
    return round((seen.convert().mean() - 40) / 3)


def grey(number: int) -> int:
    return 40 + 3 * number % 200


def picture(number: int) -> av.VideoFrame:
    pixels = np.full((96, 128, 3), grey(number), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts = number * FRAME_TICKS
    frame.time_base = Fraction(1, VIDEO_CLOCK_HZ)
    return frame


class Numbered(Paced):
    """Grey pictures whose grey tells their number."""

    kind = "video"
    period_s = 1 / FPS

    async def recv(self) -> av.VideoFrame:
        return picture(await self.next_number())


@pytest.mark.webrtc
@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_picture_is_right_again_soon_after_a_peer_stood_still(codec: str) -> None:
    sink = Sink()
    peer = Peer(sink, steady_clock(), PeerConfig())
    publisher = Publisher(Numbered(), video_codec=codec)
    await publisher.accept(await peer.answer(parse_offer(await publisher.offer())))
    await eventually(lambda: len(sink.pictures) >= 5)

    await lose(peer, publisher, 1.0)
    before = len(sink.pictures)
    # to wait for what is lost until the buffer is full would take half a minute
    await eventually(lambda: len(sink.pictures) >= before + 20, within_s=20.0)
    await publisher.aclose()
    await peer.aclose()

    first = sink.pictures[0]
    for seen in sink.pictures:
        number = round((seen.at_s - first.at_s) * FPS) + number_of(first)
        assert abs(int(seen.convert().mean()) - grey(number)) <= 4, (number, len(sink.pictures))


async def lose(peer: Peer, publisher: Publisher, loss_s: float) -> None:
    """Let the peer hear nothing for so long, of a publisher that keeps nothing to send again."""
    ice = peer._connection.getTransceivers()[0].receiver.transport.transport
    receive, is_lost = ice._recv, True

    async def receive_what_is_not_lost() -> bytes:
        while True:
            data: bytes = await receive()
            if not is_lost:
                return data

    ice._recv = receive_what_is_not_lost
    await asyncio.sleep(loss_s)
    publisher.connection.getSenders()[0]._RTCRtpSender__rtp_history.clear()
    is_lost = False
