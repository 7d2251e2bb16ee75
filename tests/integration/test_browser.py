"""A person with a browser: the page, its camera and microphone, the whole service behind it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.clients.web.conftest import chromium

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc, pytest.mark.browser]

PATIENCE_MS = 30_000
SCREENSHOTS = Path(__file__).parents[2] / "artifacts"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with (
        sync_playwright() as playwright,
        chromium(playwright, "--use-fake-ui-for-media-stream") as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        yield page


@pytest.mark.parametrize("source", ["devices", "scene"])
def test_stream_is_pruned_shown_and_answered(page: Page, service_url: str, source: str) -> None:
    page.goto(service_url)
    page.select_option("#source", source)
    page.click("#start")
    expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    expect(page.locator("#video-tokens")).not_to_have_text("-", timeout=PATIENCE_MS)

    page.fill("#question", "What shape was the red object?")
    page.click("#ask")
    answer = page.locator("li.turn").last
    expect(answer.locator(".meta")).to_contain_text("first word after", timeout=PATIENCE_MS)
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"page-{source}.png")
    session_id = page.locator("#session-id").text_content()
    page.click("#stop")
    expect(page.locator("#state")).to_have_attribute("data-state", "stopped")

    assert answer.locator(".answer").text_content() != ""
    record = httpx.get(f"{service_url}/v1/sessions/{session_id}").json()
    video, audio = record["tokens"]["video"], record["tokens"]["audio"]
    assert 0 < video["kept"] <= 0.26 * video["in"]
    assert 0 < audio["kept"] < audio["in"]
    turns = httpx.get(f"{service_url}/v1/sessions/{session_id}/turns").json()["data"]
    assert [turn["question"] for turn in turns] == ["What shape was the red object?"]
