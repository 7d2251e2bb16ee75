"""The whole service on a real Ray cluster, once for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest

from clients.sdk import AsyncClient
from service.media_settings import SourcesSettings
from service.sessions.redis_server import RedisServer, find_redis_server
from service.sessions.redis_store import RedisSessionStore
from service.settings import (
    AdmissionSettings,
    CompressorSettings,
    IngestSettings,
    LLMSettings,
    Settings,
    TracingSettings,
    export_ray_environment,
)
from tests.otlp import Collector, collecting


@pytest.fixture(scope="package")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The service's Redis: Debian's server, which loses nothing when it is killed."""
    binary = find_redis_server()
    assert binary is not None, "redis-server is not installed: make system"
    server = RedisServer(binary, tmp_path_factory.mktemp("redis"), is_durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def redis_of_service(own_redis: RedisServer) -> str:
    """URL of the service's Redis."""
    return own_redis.url


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """Where the service sends its traces."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="package")
def settings(redis_of_service: str, collector: Collector) -> Settings:
    """Two replicas of compressor and LLM, one of everything else."""
    return Settings(
        port=0,
        redis_url=redis_of_service,
        log_level="WARNING",
        # the machine is busy with other tests, whose sessions stay for minutes
        admission=AdmissionSettings(by_load=False, room_ratio=0.0),
        ingest=IngestSettings(no_media_s=5.0, max_sessions=1000),
        compressor=CompressorSettings(replicas=2),
        llm=LLMSettings(replicas=2, num_pages=512),
        sources=SourcesSettings(hosts=["127.0.0.1"]),
        tracing=TracingSettings(endpoint=collector.url),
    )


@pytest.fixture(scope="package")
def service_url(settings: Settings) -> Iterator[str]:
    """Base URL of the service."""
    export_ray_environment()
    from service.app import running

    with running(settings, show_logs=False) as url:
        yield url


@pytest.fixture
async def client(service_url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(service_url) as client:
        yield client


@pytest.fixture
async def store(redis_of_service: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_of_service)
    yield store
    await store.aclose()


@pytest.fixture
async def session_id(client: AsyncClient) -> AsyncIterator[str]:
    session = await client.create_session()
    yield session.id
    await client.end_session(session.id)
