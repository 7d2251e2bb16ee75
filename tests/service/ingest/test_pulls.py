"""Sources that change their replica: two real workers on one store, the first as good as dead."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.egress import AllowList
from service.ingest.config import IngestConfig, SourcesConfig
from service.ingest.container import ContainerLimits
from service.ingest.pull import MOVED, MOVES
from service.ingest.source_policy import SourcePolicy
from service.ingest.worker import IngestWorker
from service.retry import RetryConfig
from service.sessions.record import KeptSource, SessionStatus, Stage
from service.source_errors import SourceNotFound
from tests.camera import camera
from tests.clips import write_clip
from tests.eventually import eventually
from tests.fakes import Script
from tests.free_port import free_port
from tests.records import make_record
from tests.service.ingest.replica import SESSION, Replica

FIRST, SECOND = "replica-1", "replica-2"


@pytest.fixture
def moving(patient: IngestConfig, tmp_path: Path) -> IngestConfig:
    sources = SourcesConfig(
        policy=SourcePolicy(AllowList.parse(["127.0.0.1"]), file_roots=[tmp_path]),
        limits=ContainerLimits(open_s=5.0, read_s=3.0),
        retry=RetryConfig(first_backoff_s=0.1, max_backoff_s=0.3, deadline_s=20.0),
    )
    return replace(patient, sources=sources, lease_s=1.0)


@pytest.fixture
async def first(replica: Replica, moving: IngestConfig) -> AsyncIterator[IngestWorker]:
    worker = IngestWorker(replica.around, moving)
    yield worker
    await worker.aclose()


@pytest.fixture
async def second(replica: Replica, moving: IngestConfig) -> AsyncIterator[IngestWorker]:
    worker = IngestWorker(replace(replica.around, replica=SECOND), moving)
    yield worker
    await worker.aclose()


async def kept(replica: Replica) -> KeptSource | None:
    return await replica.around.store.sources.find(SESSION)


async def told(replica: Replica) -> list[tuple[str, str | None]]:
    events = [event for event in await replica.events() if event.type == "source.state"]
    return [(event.data["state"], event.data["reason"]) for event in events]


async def states(replica: Replica) -> list[str]:
    return [state for state, _ in await told(replica)]


async def test_camera_goes_on_on_another_replica(
    first: IngestWorker, second: IngestWorker, replica: Replica
) -> None:
    async with camera(free_port(), "user", "pass") as shown:
        url = shown.replace("//", "//user:pass@")
        view = await first.sources.add(SESSION, url, "realtime")
        await eventually(lambda: len(replica.llm.indices[SESSION]) >= 1)
        assert await kept(replica) == KeptSource(view.id, url, "realtime")

        # the first is alive, which no call could find out: its lease is taken over
        assert await second.sources.resume(SESSION, steal_from=FIRST)
        assert await second.sources.resume(SESSION, steal_from=SECOND)  # asked twice, done once
        await eventually(lambda: first.num_sessions == 0)
        number = len(replica.llm.indices[SESSION])
        await eventually(lambda: len(replica.llm.indices[SESSION]) >= number + 2)
        [now] = await second.sources.views(SESSION)
        await second.sources.remove(SESSION, view.id)

    assert (now.id, now.url, now.state) == (view.id, shown, "live")
    assert await told(replica) == [
        ("connecting", None),
        ("live", None),
        ("reconnecting", MOVED),
        ("live", None),
        ("ended", "stopped"),
    ]
    assert await kept(replica) is None
    assert "pass" not in str(await replica.events())


async def test_recording_goes_on_behind_what_is_in_the_log(
    first: IngestWorker, second: IngestWorker, replica: Replica, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=41.0)  # more than may wait
    replica.compressor.script.gates[2] = asyncio.Event()  # chunks 0 and 1 are in the log
    await first.sources.add(SESSION, f"file://{path}", "fast")
    await replica.compressor.script.entered[2].wait()
    await log(replica, 1)

    replica.compressor.script = Script()
    await second.sources.resume(SESSION, steal_from=FIRST)
    await eventually(lambda: is_forgotten(replica))

    assert await states(replica) == ["connecting", "live", "reconnecting", "live", "ended"]
    assert replica.llm.indices[SESSION] == [*range(21)]
    assert replica.encoder.chunks[-1].mel.shape[1] < 110  # the 41st second is the last


async def is_forgotten(replica: Replica) -> bool:
    return await kept(replica) is None


async def log(replica: Replica, last_index: int) -> None:
    """Let the store have chunks up to an index: the fakes write none."""
    store = replica.around.store
    lease = await store.claim(SESSION, Stage.COMPRESSOR, "compressor", ttl_s=60.0)
    for index in range(last_index + 1):
        await store.append_chunk(lease, make_record(index))


async def test_recording_that_waits_for_its_last_chunks_is_still_kept(
    first: IngestWorker, replica: Replica, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=3.0)
    gate = replica.llm.script.gates[1] = asyncio.Event()

    await first.sources.add(SESSION, f"file://{path}", "fast")
    await eventually(lambda: is_told(replica, "ended"))
    await asyncio.sleep(0.3)
    waiting = await kept(replica)
    gate.set()

    assert waiting is not None
    assert (waiting.from_index, waiting.played_s(0)) == (0, 2.0)
    await eventually(lambda: is_forgotten(replica))


async def is_told(replica: Replica, state: str) -> bool:
    return state in await states(replica)


async def test_replica_that_drains_hands_its_source_over(
    first: IngestWorker, second: IngestWorker, replica: Replica
) -> None:
    async with camera(free_port()) as url:
        await first.sources.add(SESSION, url, "realtime")
        await eventually(lambda: len(replica.llm.indices[SESSION]) >= 1)
        await first.drain("replica_stops")

        silent = await replica.around.store.sources.silent(60.0, limit=9)
        [waiting] = await second.sources.views(SESSION)
        await second.sources.resume(SESSION)
        await eventually(lambda: is_told_twice(replica, "live"))
        await second.end(SESSION, "deleted")

    assert silent == [SESSION]
    assert (waiting.state, waiting.reason) == ("reconnecting", MOVED)
    assert (await told(replica))[2:4] == [("reconnecting", MOVES), ("reconnecting", MOVED)]
    assert await kept(replica) is None
    assert await second.sources.resume(SESSION) is False


async def is_told_twice(replica: Replica, state: str) -> bool:
    return (await states(replica)).count(state) == 2


async def test_orphan_can_be_removed(
    first: IngestWorker, second: IngestWorker, replica: Replica
) -> None:
    async with camera(free_port()) as url:
        view = await first.sources.add(SESSION, url, "realtime")
        await eventually(lambda: len(replica.llm.indices[SESSION]) >= 1)
        await first.drain("replica_stops")
    with pytest.raises(SourceNotFound):
        await second.sources.remove(SESSION, "src_other")

    await second.sources.remove(SESSION, view.id)

    assert (await told(replica))[-1] == ("ended", "stopped")
    assert await kept(replica) is None
    assert await second.sources.views(SESSION) == ()
    assert second.num_sessions == 0


async def test_publisher_that_came_meanwhile_keeps_the_place(
    first: IngestWorker, second: IngestWorker, replica: Replica
) -> None:
    async with camera(free_port()) as url:
        await first.sources.add(SESSION, url, "realtime")
        await eventually(lambda: len(replica.llm.indices[SESSION]) >= 1)
        await first.drain("replica_stops")
        feed = await second.feed(SESSION)

        assert await second.sources.resume(SESSION, steal_from=SECOND) is False

    assert (await told(replica))[-1] == ("ended", "another publisher came")
    assert await kept(replica) is None
    await feed.aclose()


@pytest.mark.parametrize("kind", ["upload", "file"])
async def test_what_another_replica_cannot_open_fails_with_its_reason(
    first: IngestWorker, second: IngestWorker, replica: Replica, tmp_path: Path, kind: str
) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=30.0)
    if kind == "file":
        await first.sources.add(SESSION, f"file://{path}", "realtime")
    else:
        upload_id = await first.sources.begin_upload(SESSION)
        await first.sources.append_upload(SESSION, upload_id, 0, path.read_bytes())
        await first.sources.finish_upload(SESSION, upload_id, "realtime")
    await eventually(lambda: is_told(replica, "live"))
    await first.drain("replica_stops")
    path.unlink()

    await second.sources.resume(SESSION)
    await eventually(lambda: is_told(replica, "failed"))

    _, reason = (await told(replica))[-1]
    expected = "send it again" if kind == "upload" else "No such file"
    assert expected in (reason or "")
    assert await kept(replica) is None
    await eventually(lambda: is_idle(replica))


async def is_idle(replica: Replica) -> bool:
    return (await replica.around.store.get(SESSION)).status is SessionStatus.IDLE
