import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import EngineUnavailable
from service.ingest.config import IngestConfig
from service.ingest.worker import IngestWorker
from service.sessions.record import SessionId, SessionStatus
from tests.eventually import eventually
from tests.media import make_audio
from tests.service.ingest.replica import SESSION, Replica


@pytest.fixture
async def hasty(replica: Replica, config: IngestConfig) -> AsyncIterator[IngestWorker]:
    """A worker that loses patience within a second."""
    worker = IngestWorker(replica.around, config)
    yield worker
    await worker.aclose()


async def test_without_media_a_session_ends_and_says_why(
    hasty: IngestWorker, replica: Replica
) -> None:
    await hasty.feed(SESSION)

    await eventually(lambda: replica.is_at(SessionStatus.ENDED))
    await eventually(lambda: hasty.num_sessions == 0)

    assert (await replica.around.store.get(SESSION)).end_reason == "no_media"
    ended = (await replica.events())[-1]
    assert (ended.type, ended.data) == ("session.ended", {"reason": "no_media"})
    await eventually(lambda: replica.llm.closed == replica.compressor.closed == [SESSION])


async def test_an_idle_session_ends_and_says_why(hasty: IngestWorker, replica: Replica) -> None:
    feed = await hasty.feed(SESSION, ("audio",))
    feed.push(make_audio(0, 0.1)[0])
    await feed.aclose()

    await eventually(lambda: replica.is_at(SessionStatus.ENDED))

    assert (await replica.around.store.get(SESSION)).end_reason == "idle"


async def test_ending_closes_the_publisher_and_can_be_repeated(
    worker: IngestWorker, replica: Replica
) -> None:
    feed = await worker.feed(SESSION)

    await worker.end(SESSION, "deleted")
    await worker.end(SESSION, "deleted again")

    await asyncio.wait_for(feed.wait_gone(), timeout=5)
    assert (await replica.around.store.get(SESSION)).end_reason == "deleted"
    assert (await replica.told())[-1] == "ended"
    assert (await replica.told()).count("ended") == 1
    assert worker.num_sessions == 0


async def test_a_session_ends_even_if_a_stage_does_not_answer(
    worker: IngestWorker, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(session_id: SessionId) -> None:
        raise EngineUnavailable("restarting")

    monkeypatch.setattr(replica.llm, "close", fail)
    await worker.feed(SESSION)

    await worker.end(SESSION, "deleted")

    assert replica.compressor.closed == [SESSION]
    assert await replica.is_at(SessionStatus.ENDED)
