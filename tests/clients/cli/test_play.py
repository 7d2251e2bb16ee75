from pathlib import Path

import pytest

from clients.cli.play import play
from clients.sdk import AsyncClient, SourceUnavailable
from clients.sdk.publish import Progress
from tests.clients.fake_service import RunningService


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"media")
    return path


async def test_file_is_sent_and_waited_for(service: RunningService, clip: Path) -> None:
    service.fake.played = ("ended", None)
    told: list[Progress] = []

    async with AsyncClient(service.url) as client:
        session = await client.create_session()
        done = await play(client, session.id, clip, told.append)

    assert service.fake.uploads == [("video/mp4", b"media")]
    assert (done.state, done.sent_s) == ("done", 2.0)
    assert [progress.state for progress in told] == ["connecting", "live", "done"]


async def test_file_that_breaks_on_the_way_says_why(service: RunningService, clip: Path) -> None:
    service.fake.played = ("failed", "nothing in it can be decoded")

    async with AsyncClient(service.url) as client:
        session = await client.create_session()
        with pytest.raises(SourceUnavailable, match="nothing in it can be decoded"):
            await play(client, session.id, clip, lambda _progress: None)


async def test_empty_file_is_not_sent(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()

    async with AsyncClient(service.url) as client:
        session = await client.create_session()
        with pytest.raises(SourceUnavailable, match="it is empty"):
            await play(client, session.id, tmp_path / "empty.mp4", lambda _progress: None)

    assert not service.fake.uploads
