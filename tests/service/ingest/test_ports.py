import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.ingest.ports import limit_udp_ports

LOCALHOST = "127.0.0.1"


@asynccontextmanager
async def udp_socket(port: int = 0) -> AsyncIterator[int]:
    """An open socket; gives its port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(LOCALHOST, port)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        await asyncio.sleep(0)


async def free_range(size: int) -> tuple[int, int]:
    """Ports that were free a moment ago."""
    async with udp_socket() as port:
        return port - size + 1, port


async def test_any_port_becomes_one_of_the_range() -> None:
    low, high = await free_range(3)
    limit_udp_ports(asyncio.get_running_loop(), (low, high))

    async with udp_socket() as first, udp_socket() as second:
        assert {first, second} < {low, low + 1, high}
        assert first != second


async def test_a_taken_port_is_passed_over() -> None:
    low, high = await free_range(2)
    async with udp_socket(low):
        limit_udp_ports(asyncio.get_running_loop(), (low, high))

        async with udp_socket() as port:
            assert port == high


async def test_a_full_range_is_an_error() -> None:
    low, high = await free_range(1)
    limit_udp_ports(asyncio.get_running_loop(), (low, high))

    async with udp_socket():
        with pytest.raises(OSError, match="no free UDP port"):
            async with udp_socket():
                pass


async def test_a_socket_with_a_port_of_its_own_keeps_it() -> None:
    async with udp_socket() as free:
        pass
    limit_udp_ports(asyncio.get_running_loop(), (1, 1))

    async with udp_socket(free) as port:
        assert port == free


@pytest.mark.parametrize("ports", [(0, 10), (5, 4), (1, 65_536)])
async def test_an_impossible_range_is_refused(ports: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        limit_udp_ports(asyncio.get_running_loop(), ports)
