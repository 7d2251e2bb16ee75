"""What this machine can do for publishing: codecs, devices, network paths. Sends no media."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
from aioice import stun, turn
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcicetransport import parse_stun_turn_uri

from clients.sdk.whip import IceServer

# the encoders of what the service takes; aiortc uses those of PyAV
ENCODERS = ("libvpx", "libx264", "libopus")
SERVER_LIMIT_S = 5.0
NUM_STUN_REQUESTS = 3
STUN_PAUSE_S = 1.0  # datagrams get lost
CAPTURE_DEVICES = Path("/dev/snd")


def missing_encoders(names: Sequence[str] = ENCODERS) -> tuple[str, ...]:
    """Those of the encoders that PyAV was built without."""
    return tuple(name for name in names if not _has_encoder(name))


def cameras(folder: Path = Path("/dev")) -> dict[str, bool]:
    """V4L2 devices by path, with whether this user may open them."""
    found = sorted(folder.glob("video[0-9]*"))
    return {str(path): os.access(path, os.R_OK | os.W_OK) for path in found}


def has_microphone(folder: Path = CAPTURE_DEVICES) -> bool:
    """Whether ALSA has a device that records."""
    return any(folder.glob("pcmC*c"))


async def candidates() -> tuple[str, ...]:
    """The addresses of this machine that ICE would offer."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.createDataChannel("probe")
        await connection.setLocalDescription(await connection.createOffer())
        lines = str(connection.localDescription.sdp).splitlines()
    finally:
        await connection.close()
    return tuple(line.split()[4] for line in lines if line.startswith("a=candidate:"))


async def ask_server(server: IceServer, limit_s: float = SERVER_LIMIT_S) -> str:
    """Ask a STUN server for this machine's address, or a TURN server for a relay, and return it.

    Raises:
        ValueError: The server's URL is not one.
        TimeoutError: The server did not answer in time.
        ConnectionError: It refused; the message says why.
        OSError: There is no way to it.
    """
    uri = parse_stun_turn_uri(server.url)
    address = (uri["host"], uri["port"])
    try:
        async with asyncio.timeout(limit_s):
            if uri["scheme"] == "stun":
                return await _mapped(address)
            return await _relayed(address, server, uri)
    except stun.TransactionTimeout as exc:
        raise TimeoutError from exc
    except stun.TransactionError as exc:
        raise ConnectionError(f"refused: {exc}") from exc


async def _relayed(address: tuple[str, int], server: IceServer, uri: Mapping[str, Any]) -> str:
    transport, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol,
        address,
        server.username,
        server.credential,
        ssl=uri["scheme"] == "turns",
        transport=uri["transport"],
    )
    try:
        return str(transport.get_extra_info("sockname")[0])
    finally:
        transport.close()


async def _mapped(address: tuple[str, int]) -> str:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(_StunClient, remote_addr=address)
    try:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        for _ in range(NUM_STUN_REQUESTS):
            transport.sendto(bytes(request))
            await asyncio.wait([client.mapped], timeout=STUN_PAUSE_S)
            if client.mapped.done():
                return client.mapped.result()
        raise TimeoutError
    finally:
        transport.close()


class _StunClient(asyncio.DatagramProtocol):
    """Takes the first answer. Source: RFC 8489, section 14.2."""

    def __init__(self) -> None:
        self.mapped: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        answer = stun.parse_message(data)
        mapped = answer.attributes.get("XOR-MAPPED-ADDRESS")
        if mapped and not self.mapped.done():
            self.mapped.set_result(str(mapped[0]))

    def error_received(self, exc: Exception) -> None:
        if not self.mapped.done():
            self.mapped.set_exception(exc)


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


__all__ = ["ask_server", "cameras", "candidates", "has_microphone", "missing_encoders"]
