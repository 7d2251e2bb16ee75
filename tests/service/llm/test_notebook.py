"""What becomes of answers while the store is away, with real servers."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.llm.dictation import Dictation
from service.llm.engine import Finished, Message, Question, TokenDelta
from service.llm.notebook import MAX_WAITING, Notebook
from service.metrics import Metrics
from service.sessions.record import SessionConfig, SessionId
from service.sessions.redis_client import RedisClientConfig
from service.sessions.redis_server import RedisServer
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig

pytestmark = pytest.mark.redis

SESSION, OTHER = SessionId("s"), SessionId("other")
END = Finished("ab", "stop", 40, 2, 0.0, 6.0, ttft_s=0.001, duration_s=0.002)


@pytest.fixture
async def store(own_server: RedisServer) -> AsyncIterator[RedisSessionStore]:
    hasty = RedisStoreConfig(client=RedisClientConfig(max_retries=0, pause_s=0.0), max_turns=1000)
    store = RedisSessionStore.connect(own_server.url, hasty)
    await store.create(SESSION, SessionConfig("full"), now_s=0.0)
    yield store
    await store.aclose()


async def write(notebook: Notebook, name: str, session_id: SessionId = SESSION) -> None:
    question = Question(name, (Message("user", "what?"),))
    dictation = Dictation(session_id, question, lambda: 1.0)
    dictation.finish(replace(END, text=name))
    await notebook.write(dictation, dictation.turn("cancelled"))


async def stored(store: RedisSessionStore) -> list[str]:
    return [turn.id for turn in await store.turns(SESSION)]


async def test_answers_of_an_outage_are_stored_in_order_once_it_is_over(
    own_server: RedisServer, store: RedisSessionStore
) -> None:
    notebook = Notebook(store, Metrics())
    await write(notebook, "before")
    own_server.kill()
    await write(notebook, "first")
    await write(notebook, "second")
    await notebook.catch_up()
    assert notebook.num_waiting == 2

    own_server.start()
    await write(notebook, "after")

    assert notebook.num_waiting == 0
    assert await stored(store) == ["before", "first", "second", "after"]
    told = [event.data["id"] for _, event in await store.events(SESSION, after=None, block_s=0)]
    assert told == ["before", "first", "second", "after"]


async def test_answers_do_not_wait_for_a_session_that_is_gone(
    own_server: RedisServer, store: RedisSessionStore
) -> None:
    notebook = Notebook(store, Metrics())
    own_server.kill()
    await write(notebook, "lost", OTHER)  # it never was
    await write(notebook, "kept")

    own_server.start()
    await notebook.catch_up()

    assert notebook.num_waiting == 0
    assert await stored(store) == ["kept"]


async def test_of_too_many_that_wait_the_oldest_gives_way(
    own_server: RedisServer, store: RedisSessionStore
) -> None:
    notebook = Notebook(store, Metrics())
    own_server.kill()
    for number in range(MAX_WAITING + 2):
        await write(notebook, str(number))
    assert notebook.num_waiting == MAX_WAITING

    own_server.start()
    await notebook.catch_up()

    assert await stored(store) == [str(number) for number in range(2, MAX_WAITING + 2)]


async def test_answer_of_which_nothing_was_said_is_counted_and_not_stored(
    store: RedisSessionStore,
) -> None:
    metrics = Metrics()
    notebook = Notebook(store, metrics)
    question = Question("q", (Message("user", "what?"),))
    refused = Dictation(SESSION, question, lambda: 1.0)
    broken = Dictation(SESSION, replace(question, id="r"), lambda: 1.0)
    broken.take(TokenDelta("a", 97))

    for dictation in (refused, broken):
        await notebook.write(dictation, dictation.turn("error"))

    assert await stored(store) == ["r"]
    counted = metrics.registry.get_sample_value("omnisift_queries_total", {"outcome": "error"})
    assert counted == 2
