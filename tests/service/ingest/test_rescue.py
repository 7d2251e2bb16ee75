import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import ServiceError, SessionEnded, Unavailable
from service.ingest import rescue
from service.ingest.rescue import Patience, Rescue
from service.sessions.record import SessionId
from service.sessions.redis_store import RedisSessionStore
from tests.eventually import eventually
from tests.service.ingest.replica import OTHER, SESSION, THIRD

AWAY = Unavailable("away")


def test_who_cannot_be_helped_waits_longer_each_time() -> None:
    patience = Patience()
    tried = []

    for second in range(20):
        for session_id in patience.due([SESSION, OTHER], second):
            if session_id == SESSION:
                tried.append(second)
                patience.failed(session_id, second)

    assert tried == [0, 1, 3, 7, 15]


def test_who_spoke_meanwhile_is_helped_at_once() -> None:
    patience = Patience()
    patience.failed(SESSION, 0.0)
    assert patience.due([SESSION], 0.5) == []

    patience.due([OTHER], 0.6)

    assert patience.due([SESSION], 0.7) == [SESSION]


def test_pauses_have_an_end() -> None:
    patience = Patience()
    for attempt in range(20):
        patience.failed(SESSION, 100.0 * attempt)

    assert patience.due([SESSION], 1900.0 + rescue.MAX_PAUSE_S) == [SESSION]


class Calls:
    """Answers as its script says; remembers who was called for."""

    def __init__(self) -> None:
        self.made: list[SessionId] = []
        self.answers: dict[SessionId, bool | ServiceError] = {}

    async def resume(self, session_id: SessionId) -> bool:
        self.made.append(session_id)
        answer = self.answers.get(session_id, True)
        if isinstance(answer, ServiceError):
            raise answer
        return answer


class Scene:
    """A rescue under way."""

    def __init__(self, store: RedisSessionStore) -> None:
        self.calls = Calls()
        self.is_paused = False
        self.rescue = Rescue(store.sources, self.calls.resume, lambda: self.is_paused)


@pytest.fixture
async def scene(store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(rescue, "SWEEP_S", 0.02)
    monkeypatch.setattr(rescue, "SILENT_S", 0.2)
    scene = Scene(store)
    scene.rescue.start()
    yield scene
    await scene.rescue.aclose()


async def silence(store: RedisSessionStore, *session_ids: SessionId) -> None:
    for session_id in session_ids:
        await store.sources.beat(session_id)
        await store.sources.let_go(session_id)


async def test_silent_source_is_called_for_until_it_speaks(
    scene: Scene, store: RedisSessionStore
) -> None:
    await store.sources.beat(SESSION)
    await asyncio.sleep(0.1)
    assert scene.calls.made == []

    await eventually(lambda: len(scene.calls.made) >= 2)
    await store.sources.beat(SESSION)
    await asyncio.sleep(0.05)
    number = len(scene.calls.made)
    await asyncio.sleep(0.1)

    assert len(scene.calls.made) == number


@pytest.mark.parametrize("answer", [False, SessionEnded("s", reason="deleted")], ids=str)
async def test_nothing_to_go_on_with_is_asked_once(
    scene: Scene, store: RedisSessionStore, answer: bool | ServiceError
) -> None:
    scene.calls.answers[SESSION] = answer
    await silence(store, SESSION)

    await eventually(lambda: bool(scene.calls.made))
    await asyncio.sleep(0.1)

    assert scene.calls.made == [SESSION]
    assert await store.sources.silent(-1.0, limit=9) == []


async def test_one_that_cannot_be_helped_holds_nobody_up(
    scene: Scene, store: RedisSessionStore
) -> None:
    scene.calls.answers = {SESSION: AWAY, OTHER: False, THIRD: False}
    await silence(store, SESSION, OTHER, THIRD)

    await eventually(lambda: {*scene.calls.made} == {SESSION, OTHER, THIRD})
    await asyncio.sleep(0.1)

    assert scene.calls.made.count(SESSION) == 1  # it is asked again after a second
    assert await store.sources.silent(-1.0, limit=9) == [SESSION]


async def test_it_looks_away_while_the_service_stops(
    scene: Scene, store: RedisSessionStore
) -> None:
    scene.is_paused = True
    await silence(store, SESSION)
    await asyncio.sleep(0.1)
    assert scene.calls.made == []

    scene.is_paused = False

    await eventually(lambda: SESSION in scene.calls.made)
