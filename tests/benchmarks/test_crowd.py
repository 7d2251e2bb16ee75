import asyncio
from pathlib import Path

import av
import pytest

from benchmarks.crowd import crowd, make_clip
from service.api.app import ApiConfig, create_app
from service.sessions.record import SessionId, SessionStatus
from tests.eventually import eventually
from tests.local import FullBackend, fake_backend, served

pytestmark = [pytest.mark.redis, pytest.mark.webrtc]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"), 4.0)


def test_clip_is_as_webrtc_carries_it(clip: Path) -> None:
    with av.open(str(clip)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec.name, audio.codec.name) == ("h264", "opus")
        packets = [packet for packet in container.demux(video) if packet.size]

    assert bytes(packets[0]).startswith(b"\x00\x00\x00\x01")
    assert sum(packet.is_keyframe for packet in packets) >= 4  # one a second: none is asked for


async def test_those_who_are_let_in_stream_and_end_with_the_crowd(
    redis_url: str, clip: Path
) -> None:
    async with fake_backend(redis_url) as backend, served(create_app(backend, ApiConfig())) as url:
        async with crowd(url, clip, 2) as visits:
            await eventually(lambda: len(visits.session_ids) == 2)
            assert visits.has_entered.is_set()
            ids = [SessionId(session_id) for session_id in visits.session_ids]

            async def have_chunks() -> bool:
                # stages are made up: the log is empty, and the lag of a chunk is noted
                return all([(await backend.store.get(one)).lag_s is not None for one in ids])

            await eventually(have_chunks, within_s=20.0)

        assert (visits.num_refused, visits.num_turned_away, visits.num_failed) == (0, 0, 0)
        for session_id in ids:
            assert (await backend.store.get(session_id)).status is SessionStatus.ENDED


async def test_refusals_are_counted_and_asked_again_after_the_time_that_is_named(
    redis_url: str, clip: Path
) -> None:
    async with fake_backend(redis_url) as backend:
        app = create_app(FullBackend.of(backend), ApiConfig())
        async with served(app) as url, crowd(url, clip, 3) as visits:
            await eventually(lambda: visits.num_refused == 3)
            await asyncio.sleep(0.3)

            assert visits.num_refused == 3  # Retry-After is 5 s
            assert visits.session_ids == []
            assert not visits.has_entered.is_set()
