"""`python -m service serve` told to stop: it drains, ends with 0 and leaves no process behind."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.sdk import AsyncClient
from clients.sdk.media import open_synthetic
from clients.sdk.publish import publish
from tests.eventually import eventually
from tests.serving import Serving, serving_at

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.redis]

STOP_WITHIN_S = 60.0
GONE_WITHIN_S = 90.0  # Ray's agents look for their parent once they have started


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with serving_at(tmp_path / "log") as serving:
        yield serving


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_signal_while_it_starts_is_a_quiet_end(
    serving: Serving, signum: signal.Signals
) -> None:
    await asyncio.to_thread(serving.wait_for, lambda: "raylet" in serving.processes().values())

    # of a terminal's Ctrl-C the whole group hears
    os.killpg(serving.process.pid, signum)

    assert await asyncio.to_thread(serving.process.wait, STOP_WITHIN_S) == 0, serving.log
    assert "Traceback" not in serving.log
    await eventually(lambda: not serving.processes(), within_s=GONE_WITHIN_S)


@pytest.mark.webrtc
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_signal_under_a_live_stream_drains_it(
    serving: Serving, signum: signal.Signals
) -> None:
    await asyncio.to_thread(serving.wait_ready)
    async with AsyncClient(serving.url) as client, asyncio.TaskGroup() as group:
        session = await client.create_session()
        with open_synthetic() as source:
            publishing = group.create_task(publish(client, session.id, source))

            async def is_logged() -> bool:
                return (await client.get_session(session.id)).chunks > 0

            await eventually(is_logged, within_s=30.0)
            serving.process.send_signal(signum)
            status = await asyncio.to_thread(serving.process.wait, STOP_WITHIN_S)
            publishing.cancel()

    assert status == 0, serving.log
    assert "stopping ..." in serving.log
    assert "Traceback" not in serving.log
    await eventually(lambda: not serving.processes(), within_s=GONE_WITHIN_S)
