"""Media ports within a range, so that a firewall can be opened for them."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

PortRange = tuple[int, int]
"""First and last port, both included."""


def limit_udp_ports(loop: asyncio.AbstractEventLoop, ports: PortRange) -> None:
    """Make UDP sockets that ask `loop` for any port get one of `ports`, in turn.

    The ICE library binds to port 0 and offers no choice; this is the one place that it goes
    through. Sockets with a port or a peer of their own are left alone. Call it once per loop.

    Raises:
        ValueError: If the range is empty.
    """
    low, high = ports
    if not 0 < low <= high < 1 << 16:
        raise ValueError(f"UDP ports must be a range within 1 to 65535, not {low} to {high}")
    original: Callable[..., Any] = loop.create_datagram_endpoint
    turns = count()

    async def create_datagram_endpoint(
        protocol_factory: Callable[[], Any], local_addr: Any = None, **options: Any
    ) -> Any:
        if not local_addr or local_addr[1] != 0 or options.get("remote_addr"):
            return await original(protocol_factory, local_addr=local_addr, **options)
        for _ in range(low, high + 1):
            port = low + next(turns) % (high - low + 1)
            try:
                return await original(protocol_factory, local_addr=(local_addr[0], port), **options)
            except OSError:
                continue  # taken by another peer, or another program
        raise OSError(f"no free UDP port in {low} to {high}")

    # NOTE: aioice opens its sockets on the loop and can be given no others
    loop.create_datagram_endpoint = create_datagram_endpoint  # type: ignore[method-assign,assignment]


__all__ = ["PortRange", "limit_udp_ports"]
