"""A person with a link or a key, in front of a service that lets nobody in without one."""

import asyncio
import re
import threading
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from service.api.app import ApiConfig, create_app
from tests.local import fake_backend, served
from tests.service.api.keys import KEYRING, KEYS, bearer

pytestmark = [pytest.mark.browser, pytest.mark.redis]


@pytest.fixture
def closed_url(redis_url: str) -> Iterator[str]:
    """A service with keys, on a thread of its own: the browser's client has no event loop."""
    urls: list[str] = []
    is_up, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with (
            fake_backend(redis_url) as backend,
            served(create_app(backend, ApiConfig(keyring=KEYRING))) as url,
        ):
            urls.append(url)
            is_up.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert is_up.wait(20)
    yield urls[0]
    stop.set()
    thread.join()


def test_viewer_link_opens_the_page_and_its_session_only(page: Page, closed_url: str) -> None:
    with httpx.Client(base_url=closed_url, headers=bearer("alice")) as http:
        session_id = http.post("/v1/sessions").json()["id"]
        token = http.post(f"/v1/sessions/{session_id}/tokens").json()["token"]
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))

    page.goto(f"{closed_url}/?session={session_id}#token={token}")

    expect(page.locator("#question")).to_be_attached()
    fetch = """async ([path, token]) => (await fetch(path, {
      headers: token ? { Authorization: `Bearer ${token}` } : {} })).status"""
    assert page.evaluate(fetch, [f"/v1/sessions/{session_id}", token]) == 200
    assert page.evaluate(fetch, [f"/v1/sessions/{session_id}", ""]) == 401  # the cookie is no key
    assert page.evaluate(fetch, ["/v1/sessions", token]) == 200
    assert page.evaluate("document.cookie") == ""  # nor can a script read it
    assert page.evaluate("sessionStorage.getItem('omnisift-api-key')") == token
    assert len(seen) > 5
    assert not any(token in url.partition("#")[0] for url in seen)  # a fragment is never sent
    expect(page).not_to_have_url(re.compile(token))  # nor is it left in the address bar


def test_person_without_a_link_is_asked_for_a_key(context: BrowserContext, closed_url: str) -> None:
    page = context.new_page()
    page.goto(closed_url)

    page.fill("#key", "osk_wrong")
    page.click("button")
    expect(page.locator("#problem")).to_contain_text("not valid")
    page.fill("#key", KEYS["alice"])
    page.click("button")

    expect(page.locator("#question")).to_be_attached()
    again = context.new_page()
    again.goto(closed_url)
    expect(again.locator("#question")).to_be_attached()  # the pass lasts
