"""Damaged packets sent to a real peer: it stays connected, and its neighbour notices nothing."""

from collections.abc import AsyncIterator

import pytest

from service.clock import steady_clock
from service.ingest.peer import DecodeFailures, Peer, PeerConfig
from service.ingest.sdp import parse_offer
from tests.damage import Payloads, contents, send_as_a_stranger, send_under_keys
from tests.eventually import eventually
from tests.service.ingest.sink import Sink
from tests.webrtc import Camera, Microphone, Publisher

pytestmark = pytest.mark.webrtc

NUM_REPLACED = 3
FEW = 3  # frames that show that media goes on
# lost, as far as the receiver can tell: it waits for it until its buffer of 512 packets is full
WAITS_LONG = "payload-vp8-truncated-descriptor"


class Stream:
    """A publisher with camera and microphone, its peer, and what came of it."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.peer = Peer(self.sink, steady_clock(), PeerConfig())
        self.publisher = Publisher(Camera(), Microphone(), video_codec="VP8")
        self.answer = ""

    async def start(self) -> None:
        self.answer = await self.peer.answer(parse_offer(await self.publisher.offer()))
        await self.publisher.accept(self.answer)
        await self.goes_on()

    async def goes_on(self, *kinds: str) -> None:
        """Wait for more of these kinds, of both unless told."""
        arrived = {"video": self.sink.pictures, "audio": self.sink.sounds}
        for kind in kinds or arrived:
            wanted = len(arrived[kind]) + FEW
            await eventually(lambda items=arrived[kind], most=wanted: len(items) >= most)  # type: ignore[misc]

    async def aclose(self) -> None:
        await self.publisher.aclose()
        await self.peer.aclose()


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    stream = Stream()
    await stream.start()
    yield stream
    await stream.aclose()


@pytest.fixture
async def neighbour() -> AsyncIterator[Stream]:
    neighbour = Stream()
    await neighbour.start()
    yield neighbour
    assert neighbour.sink.discarded == {}
    await neighbour.aclose()


async def test_no_datagram_of_a_stranger_ends_a_connection(
    stream: Stream, neighbour: Stream
) -> None:
    for name, data in contents("datagram"):
        send_as_a_stranger(stream.answer, data)
        await stream.goes_on()
        assert stream.peer.state == "connected", name
    assert stream.sink.discarded == {"unknown": 1}  # the empty one; others aiortc leaves out

    await neighbour.goes_on()


async def test_no_packet_of_a_publisher_ends_its_connection(
    stream: Stream, neighbour: Stream
) -> None:
    for name, data in contents("rtp", "rtcp"):
        await send_under_keys(stream.publisher, data)
        await stream.goes_on()
        assert stream.peer.state == "connected", name
    assert stream.sink.discarded == {"unknown": 1}  # the short extension

    await neighbour.goes_on()


@pytest.mark.parametrize(
    ("name", "payload"), contents("payload"), ids=[name for name, _ in contents("payload")]
)
async def test_a_damaged_payload_costs_only_itself(
    name: str, payload: bytes, stream: Stream
) -> None:
    kind = "audio" if "opus" in name else "video"
    failures = DecodeFailures(stream.sink.discard)
    failures.open()

    payloads = Payloads(stream.publisher, kind, payload, NUM_REPLACED)
    await eventually(lambda: payloads.num_left == 0)

    if name == WAITS_LONG:
        await stream.goes_on("audio")
    else:
        await eventually(lambda: stream.sink.discarded[kind] == NUM_REPLACED)
        await stream.goes_on()
    failures.close()
    assert stream.peer.state == "connected"
    assert set(stream.sink.discarded) <= {kind}
