import pytest

from service.errors import AtCapacity
from service.ingest.worker import IngestWorker
from tests.eventually import eventually
from tests.service.ingest.replica import OTHER, SESSION, THIRD, Replica


async def test_a_full_replica_refuses_new_sessions_only(worker: IngestWorker) -> None:
    feed = await worker.feed(SESSION)
    await worker.feed(OTHER)

    with pytest.raises(AtCapacity, match="limit of 2"):
        await worker.feed(THIRD)

    await feed.aclose()
    await eventually(lambda: worker._sessions[SESSION]._publisher is None)
    await worker.feed(SESSION)


async def test_held_sessions_are_counted(worker: IngestWorker, replica: Replica) -> None:
    def gauge() -> float | None:
        name, labels = "omnisift_sessions_active", {"stage": "ingest"}
        return replica.around.metrics.registry.get_sample_value(name, labels)

    await worker.feed(SESSION)
    await worker.feed(OTHER)
    assert gauge() == 2

    await worker.end(SESSION, "deleted")
    assert gauge() == 1
