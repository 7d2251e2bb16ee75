"""GStreamer's webrtcbin publishes: another stack of ICE, DTLS and RTP, with an RSA certificate."""

import asyncio
from pathlib import Path

import pytest

from clients.sdk import AsyncClient
from service.api.app import ApiConfig, create_app
from tests.camera import PYTHON
from tests.eventually import eventually
from tests.local import fake_backend, served

pytestmark = [pytest.mark.redis, pytest.mark.webrtc]

PUBLISHER = Path(__file__).parents[1] / "gstreamer_publisher.py"
LENGTH_S = 6.0  # two chunks, and what a busy machine takes to connect


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_what_gstreamer_publishes_is_in_context(codec: str, redis_url: str) -> None:
    async with (
        fake_backend(redis_url) as backend,
        served(create_app(backend, ApiConfig())) as url,
        AsyncClient(url) as client,
    ):
        session = await client.create_session()
        whip = f"{url}/v1/sessions/{session.id}/whip"
        gstreamer = await asyncio.create_subprocess_exec(
            *(PYTHON, str(PUBLISHER), whip, str(LENGTH_S), codec), stderr=asyncio.subprocess.PIPE
        )
        _, told = await gstreamer.communicate()
        assert gstreamer.returncode == 0, told.decode()

        async def is_idle() -> bool:
            return (await client.get_session(session.id)).status == "idle"

        await eventually(is_idle)  # it has hung up
        read = backend.metrics.registry.get_sample_value
        assert read("omnisift_chunks_total") >= 1
        for modality, least in (("video", 8), ("audio", 100)):
            labels = {"modality": modality, "result": "used"}
            assert read("omnisift_ingest_frames_total", labels) >= least
