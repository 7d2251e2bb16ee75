"""A real coturn relays a publisher's media, as Compose and Kubernetes run it."""

import re
from pathlib import Path

import pytest
from aiortc import RTCIceTransportPolicy

from clients.sdk import AsyncClient, whip
from clients.sdk.media.peer import rtc_servers
from service.api.app import ApiConfig, create_app
from tests.eventually import eventually
from tests.local import LocalBackend, fake_backend, served
from tests.platform.turnserver import SECRET, arguments_of, turn_server
from tests.webrtc import Camera, Microphone, Publisher

pytestmark = [pytest.mark.long, pytest.mark.redis, pytest.mark.webrtc]

LEAST_FRAMES = {"video": 20, "audio": 100}
LEAST_BYTES = 20_000  # of these frames: a tone in Opus, and pictures in VP8


@pytest.mark.parametrize(("where", "transport"), [("compose", "udp"), ("prod", "tcp")])
async def test_media_arrives_by_the_relay_alone(
    where: str, transport: str, redis_url: str, tmp_path: Path
) -> None:
    async with turn_server(arguments_of(where), tmp_path) as turn:
        url = f"turn:{turn.address}?transport={transport}"
        config = ApiConfig(ice_servers=[url], turn_secret=SECRET.encode())
        async with (
            fake_backend(redis_url) as backend,
            served(create_app(backend, config)) as base,
            AsyncClient(base) as client,
        ):
            publisher = await relayed(client)
            offer = publisher.connection.localDescription.sdp

            await eventually(lambda: has_frames(backend, LEAST_FRAMES))
            await publisher.aclose()
        await eventually(lambda: max(bytes_to_peers(turn.log), default=0) >= LEAST_BYTES)
    # there was no other way, and who used this one had the service's credentials
    assert set(re.findall(r"a=candidate:.* typ (\w+)", offer)) == {"relay"}
    assert re.search(r"username=<\d+:publisher>.*\n.*ALLOCATE processed, success", turn.log)


async def test_credentials_of_another_secret_open_nothing(redis_url: str, tmp_path: Path) -> None:
    async with turn_server(arguments_of("compose"), tmp_path) as turn:
        config = ApiConfig(ice_servers=[f"turn:{turn.address}"], turn_secret=b"another")
        async with (
            fake_backend(redis_url) as backend,
            served(create_app(backend, config)) as base,
            AsyncClient(base) as client,
        ):
            publisher = await relayed(client)
            await publisher.aclose()
    assert "Cannot find credentials of user" in turn.log
    assert "ALLOCATE processed, success" not in turn.log


async def relayed(client: AsyncClient) -> Publisher:
    """A publisher that may use nothing but the relay that the service names."""
    session = await client.create_session()
    servers = await client.send(whip.ice_servers(session.id))
    publisher = Publisher(
        *(Camera(), Microphone()),
        ice_servers=rtc_servers(servers),
        ice_policy=RTCIceTransportPolicy.RELAY,
    )
    resource = await client.send(whip.offer(session.id, await publisher.offer()))
    await publisher.accept(resource.answer_sdp)
    return publisher


def has_frames(backend: LocalBackend, least: dict[str, int]) -> bool:
    """Whether so many frames of each modality have become part of chunks."""
    read, name = backend.metrics.registry.get_sample_value, "omnisift_ingest_frames_total"
    return all(
        (read(name, {"modality": modality, "result": "used"}) or 0) >= number
        for modality, number in least.items()
    )


def bytes_to_peers(log: str) -> list[int]:
    """What was relayed towards the service, per allocation that has ended."""
    return [int(sent) for sent in re.findall(r"peer usage: .*\bsb=(\d+)", log)]
