"""The shortest form of `make chaos`, on the cluster that is there: three kills under a stream."""

from pathlib import Path

import pytest

from chaos.clips import make_clip
from chaos.run import Service, run
from chaos.schedule import Part, kill
from service.sessions.redis_server import RedisServer

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


async def test_nothing_is_lost_when_replicas_are_killed_under_a_stream(
    service_url: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    said: list[str] = []
    faults = [kill(part) for part in (Part.COMPRESSOR, Part.LLM, Part.ENCODER)]

    ledger = await run(
        Service(service_url, own_redis), [make_clip(tmp_path, 0)], faults, seed=0, say=said.append
    )

    found = ledger.as_json()
    assert found["chunks_lost"] == 0, said
    assert found["chunks_told_twice"] == 0, said
    assert found["not_recovered"] == 0, said
    assert found["wrong_answers"] == 0, said
    assert found["faults"] == 3
    assert ledger.is_ok
