"""What a visitor does on the page, and waits to see."""

import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.clients.fake_service import RunningService


def wait_for(condition: Callable[[], object], page: Page) -> None:
    deadline_s = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline_s
        page.wait_for_timeout(50)


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#state")).to_have_attribute("data-state", state, timeout=20_000)


def start(page: Page, service: RunningService, *, source: str = "scene") -> None:
    page.goto(service.url)
    page.select_option("#source", source)
    page.click("#start")


def start_and_wait(page: Page, service: RunningService, *, source: str = "scene") -> None:
    start(page, service, source=source)
    expect_state(page, "live")
    expect(page.locator("#saved")).not_to_have_text("-", timeout=15_000)


def paths(service: RunningService, method: str) -> list[str]:
    return [path for verb, path, _, _ in service.fake.requests if verb == method]
