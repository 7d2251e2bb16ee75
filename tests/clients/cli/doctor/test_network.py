import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aioice import stun

from clients.cli.doctor.network import check_network, check_server
from clients.sdk import AsyncClient
from clients.sdk.whip import IceServer
from tests.clients.fake_service import RunningService

pytestmark = pytest.mark.webrtc


class RelayServer(asyncio.DatagramProtocol):
    """Tells from where a request came (RFC 8489), and lends an address to anyone (RFC 8656)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse_message(data)
        answer = stun.Message(
            message_method=request.message_method,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.7", addr[1])
        if request.message_method == stun.Method.ALLOCATE:
            answer.attributes["XOR-RELAYED-ADDRESS"] = ("203.0.113.8", 50000)
            answer.attributes["LIFETIME"] = 600
        self._transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def relay_server() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(RelayServer, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_media_path_is_tried_and_leaves_nothing_behind(service: RunningService) -> None:
    async with AsyncClient(service.url) as client:
        found = [finding async for finding in check_network(client, may_publish=True)]

    assert [(finding.check, finding.level) for finding in found] == [
        ("ICE", "ok"),
        ("WHIP", "ok"),
        ("media", "ok"),
    ]
    assert service.fake.feed("s0").record.status == "ended"


async def test_publisher_that_is_refused_is_a_failure(service: RunningService) -> None:
    service.fake.refusals["POST", "/whip"] = (400, "offer_rejected", {})

    async with AsyncClient(service.url) as client:
        found = [finding async for finding in check_network(client, may_publish=True)]

    assert found[-1].check == "media"
    assert found[-1].level == "fail"
    assert service.fake.feed("s0").record.status == "ended"


async def test_token_that_can_make_no_session_is_no_failure(service: RunningService) -> None:
    service.fake.refusals["POST", "/v1/sessions"] = (403, "forbidden", {})

    async with AsyncClient(service.url) as client:
        found = [finding async for finding in check_network(client, may_publish=True)]

    assert (found[-1].check, found[-1].level) == ("media", "warn")


async def test_key_that_may_only_ask_is_no_failure(service: RunningService) -> None:
    service.fake.refusals["OPTIONS", "/whip"] = (403, "forbidden", {})

    async with AsyncClient(service.url) as client:
        found = [finding async for finding in check_network(client, may_publish=False)]

    assert (found[-1].check, found[-1].level) == ("WHIP", "warn")


async def test_nothing_is_published_where_it_may_not_be(service: RunningService) -> None:
    async with AsyncClient(service.url) as client:
        _ = [finding async for finding in check_network(client, may_publish=False)]

    assert not service.fake.feeds


async def test_servers_that_answer_tell_their_addresses() -> None:
    async with relay_server() as port:
        stun_ = await check_server(IceServer(f"stun:127.0.0.1:{port}"))
        turn = await check_server(IceServer(f"turn:127.0.0.1:{port}", "user", "secret"))

    assert (stun_.check, stun_.level) == ("STUN", "ok")
    assert stun_.message.endswith("our address as 203.0.113.7")
    assert (turn.check, turn.level) == ("TURN", "ok")
    assert turn.message.endswith("a relay at 203.0.113.8")


@pytest.mark.parametrize(
    "url",
    ["stun:127.0.0.1:9", "turn:127.0.0.1:9", "turn:127.0.0.1:9?transport=tcp", "turn:not a host"],
)
async def test_server_that_does_not_answer_is_a_failure_with_advice(url: str) -> None:
    found = await check_server(IceServer(url, "user", "secret"), limit_s=0.3)

    assert found.level == "fail"
    assert ("TURN_SECRET" in found.advice) == (found.check == "TURN")


async def test_servers_that_the_service_names_are_asked(service: RunningService) -> None:
    async with relay_server() as port, AsyncClient(service.url) as client:
        service.fake.ice_links = f'<stun:127.0.0.1:{port}>; rel="ice-server"'
        found = [finding async for finding in check_network(client, may_publish=False)]

    assert [(finding.check, finding.level) for finding in found][1:] == [
        ("WHIP", "ok"),
        ("STUN", "ok"),
    ]
