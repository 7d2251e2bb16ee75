"""A person with a browser: the page, its camera and microphone, the whole service behind it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from chaos.replicas import kill
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
    expect(answer.locator(".meta")).to_contain_text("TTFT", timeout=PATIENCE_MS)
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


def test_page_survives_the_death_of_its_ingest_replica(page: Page, service_url: str) -> None:
    page.goto(service_url)
    page.select_option("#source", "scene")
    page.click("#start")
    expect(page.locator(".chip").first).to_be_attached(timeout=PATIENCE_MS)
    kept = page.locator("#overlay").get_attribute("data-kept")
    session_id = page.locator("#session-id").text_content()
    page.locator(".chip").first.click()
    expect(page.locator(".turn .meta").last).to_contain_text("TTFT", timeout=PATIENCE_MS)

    kill("Ingest")
    expect(page.locator("#state")).to_have_attribute(
        "data-state", "reconnecting", timeout=PATIENCE_MS
    )
    page.screenshot(path=SCREENSHOTS / "page-reconnecting.png")
    expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    units = page.locator("button.unit")
    expect(units.nth(units.count() + 1)).to_be_attached(timeout=PATIENCE_MS)
    page.fill("#question", "What color was the triangle?")
    page.press("#question", "Enter")

    expect(page.locator(".turn .meta").last).to_contain_text("TTFT", timeout=PATIENCE_MS)
    assert kept != "0"
    assert page.locator("#session-id").text_content() == session_id
    assert page.locator(".turn .answer").last.text_content() != ""
    page.click("#stop")
    expect(page.locator("#state")).to_have_attribute("data-state", "stopped")


def test_pictures_of_the_page(page: Page, service_url: str) -> None:
    page.goto(service_url)
    page.click("#start")
    asked = ("What shape was the red object?", "What sound came with the red triangle?")
    for question in asked:
        page.click(f"text={question}", timeout=PATIENCE_MS)
        expect(page.locator(".turn .meta").last).to_contain_text("TTFT", timeout=PATIENCE_MS)
    expect(page.locator("button.unit").nth(4)).to_be_attached(timeout=PATIENCE_MS)
    SCREENSHOTS.mkdir(exist_ok=True)
    page.set_viewport_size({"width": 1180, "height": 800})
    # `make screenshot` puts this one into docs/
    page.screenshot(path=SCREENSHOTS / "screenshot.png")
    page.click("#share")
    expect(page.locator("#share-dialog")).to_be_visible()
    link = page.locator("#share-link").input_value()
    page.click("#close-share")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=SCREENSHOTS / "page-dark.png")

    phone = page.context.browser.new_page(viewport={"width": 390, "height": 844})  # type: ignore[union-attr]
    phone.goto(link)
    expect(phone.locator("button.unit").nth(4)).to_be_attached(timeout=PATIENCE_MS)
    expect(phone.locator(".unit img").first).to_be_visible(timeout=PATIENCE_MS)
    phone.screenshot(path=SCREENSHOTS / "page-viewer-phone.png", full_page=True)
    assert phone.evaluate("() => document.documentElement.scrollWidth") <= 390
    phone.close()
    page.emulate_media(color_scheme="light")
    page.click("#stop")
    assert (SCREENSHOTS / "screenshot.png").stat().st_size <= 300_000
