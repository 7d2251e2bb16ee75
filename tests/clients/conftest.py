from collections.abc import Iterator

import pytest

from tests.clients.fake_service import FakeService, RunningService, running


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def service(fake: FakeService) -> Iterator[RunningService]:
    """The fake service behind a real socket."""
    with running(fake) as service:
        yield service
