"""Calls to a replica that dies as it answers: which are made again, and what the caller is told."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from ray import serve

from service.app import BY_SESSION, LOGGING
from service.deployments.remote import RemoteLLM
from service.errors import AnswerInterrupted, ReplicaDied
from service.llm.engine import Finished, Message, Question, TokenDelta
from service.sessions.record import SessionConfig, SessionId
from service.sessions.redis_store import RedisSessionStore
from tests.integration.fragile import DELTA, END, Deaths, Fragile

pytestmark = [pytest.mark.ray, pytest.mark.redis]

SESSION = SessionId("fragile")


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> Deaths:
    return Deaths(tmp_path_factory.mktemp("fragile") / "deaths")


@pytest.fixture(scope="module")
def handle(service_url: str, deaths: Deaths) -> Iterator[Any]:
    """Four replicas on the service's cluster; those that die are not waited for."""
    deployment = serve.deployment(
        Fragile,
        name="LLM",
        num_replicas=4,
        ray_actor_options={"num_cpus": 0},
        request_router_config=BY_SESSION,
        logging_config=LOGGING,
    )
    app = deployment.bind(deaths)  # type: ignore[attr-defined]  # untyped
    yield serve.run(app, name="fragile", route_prefix=None, logging_config=LOGGING)
    serve.delete("fragile")


@pytest.fixture
async def llm(handle: Any, redis_of_service: str) -> AsyncIterator[RemoteLLM]:
    store = RedisSessionStore.connect(redis_of_service)
    if SESSION not in {session.id for session in await store.list()}:
        await store.create(SESSION, SessionConfig("full"), 0.0)
    yield RemoteLLM(handle, store)
    await store.aclose()


def ask(llm: RemoteLLM, name: str) -> AsyncIterator[TokenDelta | Finished]:
    return llm.ask(SESSION, Question(name, (Message("user", "?"),)))


async def test_question_is_put_again_if_its_replica_dies_before_the_first_token(
    llm: RemoteLLM, deaths: Deaths
) -> None:
    assert [item async for item in ask(llm, "dies at first")] == [END]
    assert deaths.number == 1


async def test_answer_cut_after_its_first_token_says_so(llm: RemoteLLM) -> None:
    items = ask(llm, "dies midway")

    assert await anext(items) == DELTA
    with pytest.raises(AnswerInterrupted):
        await anext(items)


async def test_question_that_kills_is_not_put_a_third_time(llm: RemoteLLM, deaths: Deaths) -> None:
    num_before = deaths.number

    with pytest.raises(ReplicaDied):
        await anext(ask(llm, "dies always"))

    assert deaths.number == num_before + 2
