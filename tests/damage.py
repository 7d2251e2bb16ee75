"""Damaged media on its way to a peer: `tests/data/damaged`, files named by what is wrong.

The first word says how a file is sent: `sdp` as an offer, `datagram` by a stranger to the peer's
port, `rtp` and `rtcp` under the connection's own keys, `payload` in place of a track's own.
"""

import re
import socket
from pathlib import Path

from aiortc import RTCRtpSender
from aiortc.rtp import RtpPacket, is_rtcp

from tests.webrtc import Publisher

DATA = Path(__file__).parent / "data"
HOST_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", re.IGNORECASE)


def contents(*kinds: str) -> list[tuple[str, bytes]]:
    """Name and content of all files of these kinds."""
    found = sorted(path for kind in kinds for path in (DATA / "damaged").glob(f"{kind}-*"))
    assert found, kinds
    return [(path.stem, path.read_bytes()) for path in found]


def send_as_a_stranger(answer_sdp: str, data: bytes) -> None:
    """Send a datagram to the peer from a socket that it has never heard of."""
    found = HOST_CANDIDATE.search(answer_sdp)
    assert found, "the answer names no address"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(data, (found[1], int(found[2])))


async def send_under_keys(publisher: Publisher, data: bytes) -> None:
    """Send an RTP or RTCP packet as the publisher would."""
    await publisher.connection.getSenders()[0].transport._send_rtp(data)


class Payloads:
    """Replaces the payloads of a track's next packets.

    Attributes:
        num_left: Packets that are still to be replaced.
    """

    def __init__(self, publisher: Publisher, kind: str, payload: bytes, number: int) -> None:
        self.num_left = number
        self._payload = payload
        self._sender = sender_of(publisher, kind)
        self._send = self._sender.transport._send_rtp
        self._sender.transport._send_rtp = self._replace  # type: ignore[method-assign]

    async def _replace(self, data: bytes) -> None:
        if self.num_left and not is_rtcp(data):
            extensions = self._sender._RTCRtpSender__rtp_header_extensions_map  # type: ignore[attr-defined]
            packet = RtpPacket.parse(data, extensions)
            if packet.ssrc == self._sender._ssrc:
                packet.payload, packet.marker = self._payload, 1
                data = packet.serialize(extensions)
                self.num_left -= 1
        await self._send(data)


def sender_of(publisher: Publisher, kind: str) -> RTCRtpSender:
    senders = publisher.connection.getSenders()
    return next(sender for sender in senders if sender.track and sender.track.kind == kind)
