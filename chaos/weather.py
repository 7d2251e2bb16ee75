"""Loss, duplication, delay and reordering of a client's datagrams, drawn from a seed.

Sits between the event loop and whoever opens UDP sockets on it; knows nothing about WebRTC.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to datagrams, in either direction.

    Attributes:
        loss: Share that is lost, 0 to 1.
        duplication: Share of the others that arrives twice.
        delay: Share that is late, so that later ones overtake it.
        max_delay_s: How late at most.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delay: float = 0.0
    max_delay_s: float = 0.05


CLEAR = Weather()
ROUGH = Weather(loss=0.05, duplication=0.02, delay=0.10)
SILENT = Weather(loss=1.0)


class Network:
    """The weather over one event loop's sockets; `weather` may change at any time."""

    def __init__(self, seed: int) -> None:
        self.weather = CLEAR
        self._draw = random.Random(seed)

    def fate(self) -> list[float]:
        """Delays in seconds after which copies of the next datagram arrive; none: it is lost."""
        weather, draw = self.weather, self._draw.random
        if draw() < weather.loss:
            return []
        copies = 2 if draw() < weather.duplication else 1
        return [
            draw() * weather.max_delay_s if draw() < weather.delay else 0.0 for _ in range(copies)
        ]

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Rule over the UDP sockets that are opened on `loop` from now on."""
        original: Callable[..., Any] = loop.create_datagram_endpoint

        async def create_datagram_endpoint(
            protocol_factory: Callable[[], Any], *args: Any, **options: Any
        ) -> Any:
            return await original(lambda: self._exposed(protocol_factory()), *args, **options)

        # aioice opens its sockets on the loop and can be given no others
        loop.create_datagram_endpoint = create_datagram_endpoint  # type: ignore[method-assign]

    def _exposed(self, protocol: Any) -> Any:
        made, received = protocol.connection_made, protocol.datagram_received
        protocol.connection_made = lambda transport: made(_Exposed(transport, self._pass))
        protocol.datagram_received = lambda *datagram: self._pass(received, *datagram)
        return protocol

    def _pass(self, deliver: Callable[..., None], *datagram: Any) -> None:
        for delay_s in self.fate():
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, deliver, *datagram)
            else:
                deliver(*datagram)


class _Exposed:
    """A datagram transport whose datagrams meet their fate on the way out."""

    def __init__(self, transport: asyncio.DatagramTransport, pass_: Callable[..., None]) -> None:
        self._transport = transport
        self._pass = pass_

    def sendto(self, data: bytes, address: Any = None) -> None:
        self._pass(self._send, data, address)

    def _send(self, data: bytes, address: Any) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


__all__ = ["CLEAR", "ROUGH", "SILENT", "Network", "Weather"]
