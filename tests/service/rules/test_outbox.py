import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.egress import AllowList
from service.metrics import Metrics
from service.rules.outbox import Outbox, OutboxConfig
from service.rules.signature import HEADER, is_valid
from tests.eventually import eventually
from tests.local import served

CONFIG = OutboxConfig(AllowList.parse(["127.0.0.1"]), max_attempts=3, first_backoff_s=0.01)


class Receiver:
    """Takes webhooks, after refusing so many."""

    def __init__(self) -> None:
        self.num_refusals = 0
        self.requests: list[tuple[bytes, dict[str, str]]] = []

    async def take(self, request: Request) -> Response:
        self.requests.append((await request.body(), dict(request.headers)))
        if request.url.path == "/moved":
            return RedirectResponse("/hook")
        self.num_refusals -= 1
        return Response(status_code=500 if self.num_refusals >= 0 else 204)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    routes = [Route(path, receiver.take, methods=["POST"]) for path in ("/hook", "/moved")]
    async with served(Starlette(routes=routes)) as url:
        yield url


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def outbox(metrics: Metrics) -> AsyncIterator[Outbox]:
    outbox = Outbox(CONFIG, metrics, lambda: 1000.0)
    yield outbox
    await outbox.aclose()


def count(metrics: Metrics, outcome: str) -> float:
    value = metrics.registry.get_sample_value("omnisift_webhooks_total", {"outcome": outcome})
    return value or 0.0


async def test_webhook_arrives_signed(
    outbox: Outbox, receiver: Receiver, metrics: Metrics, url: str
) -> None:
    outbox.post(f"{url}/hook", "whsec_x", {"rule_id": "r1"})
    await eventually(lambda: count(metrics, "delivered") == 1)

    ((body, headers),) = receiver.requests
    assert body == b'{"rule_id":"r1"}'
    assert headers["content-type"] == "application/json"
    assert headers["host"] == url.removeprefix("http://")
    assert is_valid("whsec_x", body, headers[HEADER.lower()], now_s=1000.0)


async def test_failure_is_tried_again(
    outbox: Outbox, receiver: Receiver, metrics: Metrics, url: str
) -> None:
    receiver.num_refusals = 2

    outbox.post(f"{url}/hook", "whsec_x", {})
    await eventually(lambda: count(metrics, "delivered") == 1)

    assert len(receiver.requests) == 3


async def test_failure_that_lasts_is_given_up(
    outbox: Outbox, receiver: Receiver, metrics: Metrics, url: str
) -> None:
    receiver.num_refusals = 99

    outbox.post(f"{url}/hook", "whsec_x", {})
    await eventually(lambda: count(metrics, "failed") == 1)

    assert len(receiver.requests) == CONFIG.max_attempts


async def test_redirect_is_not_followed(
    outbox: Outbox, receiver: Receiver, metrics: Metrics, url: str
) -> None:
    outbox.post(f"{url}/moved", "whsec_x", {})
    await eventually(lambda: count(metrics, "failed") == 1)

    assert len(receiver.requests) == CONFIG.max_attempts


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "127.0.0.2"])
async def test_host_that_is_not_listed_is_never_reached(
    outbox: Outbox, metrics: Metrics, host: str
) -> None:
    outbox.post(f"http://{host}/hook", "whsec_x", {})

    await eventually(lambda: count(metrics, "refused") == 1)


async def test_name_that_leads_elsewhere_by_now_is_refused(metrics: Metrics) -> None:
    config = replace(CONFIG, hosts=AllowList.parse(["hooks.example"]))
    outbox = Outbox(config, metrics, lambda: 0.0, resolve=lambda host, port: ["127.0.0.1"])

    outbox.post("http://hooks.example/hook", "whsec_x", {})

    await eventually(lambda: count(metrics, "refused") == 1)
    await outbox.aclose()


async def test_full_queue_drops_the_newest(metrics: Metrics, url: str) -> None:
    outbox = Outbox(replace(CONFIG, max_waiting=1), metrics, lambda: 0.0)

    for _ in range(3):
        outbox.post(f"{url}/hook", "whsec_x", {})
    await asyncio.sleep(0)

    assert count(metrics, "dropped") == 2
    await outbox.aclose()
