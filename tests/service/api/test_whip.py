import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from clients.sdk import AsyncClient
from service.api.app import ApiConfig, create_app
from tests.damage import DATA, contents
from tests.eventually import eventually
from tests.local import LocalBackend, served
from tests.webrtc import Camera, Microphone

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@asynccontextmanager
async def publisher() -> AsyncIterator[RTCPeerConnection]:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver(Camera(), direction="sendonly")
    peer.addTransceiver(Microphone(), direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    try:
        yield peer
    finally:
        await peer.close()


async def offer_to(http: httpx.AsyncClient, path: str, peer: RTCPeerConnection) -> httpx.Response:
    response = await http.post(path, content=peer.localDescription.sdp, headers=SDP)
    if response.status_code == 201:
        await peer.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
    return response


@pytest.mark.webrtc
async def test_walk_through_from_offer_to_hang_up(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    session = await client.create_session()
    path = f"/v1/sessions/{session.id}/whip"
    async with publisher() as peer:
        answer = await offer_to(http, path, peer)

        assert answer.status_code == 201
        assert answer.headers["Content-Type"].startswith("application/sdp")
        location = answer.headers["Location"]
        assert location.startswith(f"{path}/")
        assert answer.headers["ETag"].startswith('"')
        assert 'rel="urn:omnisift:events"' in answer.headers["Link"]
        assert '<stun:stun.test:3478>; rel="ice-server"' in answer.headers["Link"]
        assert "a=recvonly" in answer.text
        assert "a=sendrecv" not in answer.text

        ufrag = sdp_line(peer.localDescription.sdp, "a=ice-ufrag:")
        fragment = f"{ufrag}\r\na=mid:0\r\na=end-of-candidates\r\n"
        match = {"If-Match": answer.headers["ETag"]}
        trickled = await http.patch(location, content=fragment, headers=FRAGMENT | match)
        assert trickled.status_code == 204

        live = await client.wait_until_live(session.id)
        assert live.status == "live"
        assert (await http.get(location)).status_code == 204
        assert (await http.delete(location)).status_code == 200

    async def is_idle() -> bool:
        return (await client.get_session(session.id)).status == "idle"

    await eventually(is_idle)
    assert (await http.delete(location)).status_code == 404
    assert (await http.get(location)).status_code == 404


@pytest.mark.webrtc
async def test_whip_without_a_session_creates_one(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    async with publisher() as peer:
        answer = await offer_to(http, "/whip", peer)

    session_id = answer.headers["X-Session-Id"]
    assert answer.headers["Location"].startswith(f"/v1/sessions/{session_id}/whip/")
    assert (await client.get_session(session_id)).profile == "live"


@pytest.mark.webrtc
async def test_second_publisher_is_refused_and_disturbs_nobody(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    session = await client.create_session()
    path = f"/v1/sessions/{session.id}/whip"
    async with publisher() as first, publisher() as second:
        await offer_to(http, path, first)
        await client.wait_until_live(session.id)

        refused = await offer_to(http, path, second)

        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "already_publishing"
        assert (await client.get_session(session.id)).status == "live"


async def test_bad_sdp_is_400_and_leaves_no_open_session(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    response = await http.post("/whip", content="this is no SDP", headers=SDP)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "offer_rejected"
    assert [one.status for one in await client.list_sessions()] == ["ended"]


@pytest.fixture
async def light(light_backend: LocalBackend) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service without a model."""
    app = create_app(light_backend, ApiConfig())
    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=20.0) as http:
        yield http


def held() -> tuple[int, int]:
    """Tasks and file descriptors of this process."""
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


@pytest.mark.webrtc
async def test_every_damaged_offer_is_refused_and_leaves_nothing_behind(
    light: httpx.AsyncClient,
) -> None:
    session = (await light.post("/v1/sessions")).json()
    path = f"/v1/sessions/{session['id']}/whip"
    refused = {}

    await light.post(path, content="this is no SDP", headers=SDP)  # opens connections that stay
    before = held()
    for name, offer in contents("sdp"):
        response = await light.post(path, content=offer, headers=SDP)
        refused[name] = (response.status_code, response.json()["error"]["code"])

    known = {(400, "offer_rejected"), (422, "unprocessable")}
    assert {name: got for name, got in refused.items() if got not in known} == {}
    await eventually(lambda: held() == before)
    whole = (DATA / "sdp-of-chromium.sdp").read_bytes()
    assert (await light.post(path, content=whole, headers=SDP)).status_code == 201


async def test_wrong_content_type_is_415(http: httpx.AsyncClient, client: AsyncClient) -> None:
    session = await client.create_session()
    path = f"/v1/sessions/{session.id}/whip"

    response = await http.post(path, content="v=0", headers={"Content-Type": "text/plain"})

    assert response.status_code == 415
    assert "application/sdp" in response.json()["error"]["message"]


async def test_publishing_to_nowhere_is_404_and_to_an_ended_session_409(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    session = await client.create_session()
    await client.end_session(session.id)

    unknown = await http.post("/v1/sessions/nope/whip", content="v=0", headers=SDP)
    ended = await http.post(f"/v1/sessions/{session.id}/whip", content="v=0", headers=SDP)

    assert unknown.status_code == 404
    assert (ended.status_code, ended.json()["error"]["code"]) == (409, "session_ended")


async def test_oversize_offer_is_413(http: httpx.AsyncClient, client: AsyncClient) -> None:
    session = await client.create_session()

    response = await http.post(
        f"/v1/sessions/{session.id}/whip", content=b"v" * (64 * 1024 + 1), headers=SDP
    )

    assert response.status_code == 413


async def test_options_tell_what_is_taken(http: httpx.AsyncClient) -> None:
    endpoint = await http.options("/v1/sessions/any/whip")
    resource = await http.options("/v1/sessions/any/whip/one")

    assert (endpoint.status_code, endpoint.headers["Accept-Post"]) == (200, "application/sdp")
    assert resource.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    assert (await http.get("/whip")).status_code == 204


def sdp_line(sdp: str, prefix: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith(prefix))
