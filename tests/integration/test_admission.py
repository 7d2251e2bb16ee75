"""Who is counted before another session is taken, on the running service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from ray import serve

from service.admission.decision import AdmissionConfig
from service.api.sessions import new_session_id
from service.app import APP_NAME
from service.clock import steady_clock
from service.deployments.admission import KINDS, RemoteAdmission
from service.errors import AtCapacity
from service.metrics import Metrics
from service.sessions.record import SessionConfig
from service.sessions.redis_store import RedisSessionStore

pytestmark = [pytest.mark.ray, pytest.mark.redis]

PLENTY = AdmissionConfig.of_places(ingest_sessions=1000, room_tokens=0)


@pytest.fixture
async def store(redis_of_service: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_of_service)
    yield store
    await store.aclose()


def admission(
    service_url: str, store: RedisSessionStore, config: AdmissionConfig, metrics: Metrics
) -> RemoteAdmission:
    assert service_url  # it runs
    handles = {kind: serve.get_deployment_handle(kind, APP_NAME) for kind in KINDS}
    return RemoteAdmission(handles, store, metrics, steady_clock(), config)


async def test_sessions_that_are_being_made_take_places(
    service_url: str, store: RedisSessionStore
) -> None:
    plenty = admission(service_url, store, PLENTY, Metrics())
    others = sum(report["sessions"] for report in (await plenty.reports())["Ingest"])
    waiting = await plenty.num_waiting()
    metrics = Metrics()
    config = AdmissionConfig.of_places(ingest_sessions=int(others + waiting) + 2, room_tokens=0)
    short = admission(service_url, store, config, metrics)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(short.admit())
        await stack.enter_async_context(short.admit())
        with pytest.raises(AtCapacity) as caught:
            await stack.enter_async_context(short.admit())
    async with short.admit():
        pass

    assert caught.value.details["stage"] == "ingest_sessions"
    refused = metrics.registry.get_sample_value(
        "omnisift_sessions_refused_total", {"reason": "ingest_sessions"}
    )
    assert refused == 1


async def test_sessions_made_elsewhere_wait_for_their_media(
    service_url: str, store: RedisSessionStore
) -> None:
    one = admission(service_url, store, PLENTY, Metrics())
    before = await one.num_waiting()
    now_s = steady_clock()()
    made = [
        await store.create(new_session_id(), SessionConfig("live"), created_at_s)
        for created_at_s in (now_s, now_s, now_s - 60.0)
    ]

    try:
        assert await one.num_waiting() == before + 2  # the third has waited in vain
    finally:
        for session in made:
            await store.end(session.id, "deleted", now_s)
    assert await one.num_waiting() == before


async def test_replicas_tell_how_busy_their_machine_is(
    service_url: str, store: RedisSessionStore
) -> None:
    reports = await admission(service_url, store, PLENTY, Metrics()).reports()

    for report in reports["Ingest"]:
        assert report["host_cores"] >= 1
        assert 0 <= report["host_busy"] <= 1.01
        assert report["shown"] + report["arriving"] <= report["sessions"]
