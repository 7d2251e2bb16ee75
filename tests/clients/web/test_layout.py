"""Whether everybody can use the page: by keyboard, by voice, on any screen."""

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.clients.fake_service import RunningService
from tests.clients.web.visit import expect_state

pytestmark = [pytest.mark.browser, pytest.mark.webrtc]


def test_keyboard_alone_is_enough(service: RunningService, page: Page) -> None:
    page.goto(service.url)
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id"))
    page.focus("#start")
    page.keyboard.press("Enter")
    expect_state(page, "live")

    expected = ["open-key", "show-kept", "source", "profile", "start", "chat-log"]
    assert [id_ for id_ in reached if id_ in expected][: len(expected)] == expected


def test_every_control_has_a_name(service: RunningService, page: Page) -> None:
    page.goto(service.url)

    nameless = page.locator("select, input, button, video, ol").evaluate_all(
        """all => all.filter(el => !el.labels?.length && !el.ariaLabel && !el.textContent.trim())
                     .map(el => el.id)"""
    )

    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_page_fits_the_screen_and_can_be_read(
    service: RunningService, context: BrowserContext, scheme: str, width: int, height: int
) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(service.url)

    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    if width > 1000:  # all on one screen
        assert page.evaluate("() => document.documentElement.scrollHeight") <= height
    assert page.locator("#stop").bounding_box() is not None
    for selector in (".gauge dt", ".log", "h1", ".controls label", "#start", "#message", ".state"):
        assert contrast(page, selector) >= 4.5, selector


def test_phone_has_its_buttons_in_one_line_in_every_state(
    service: RunningService, context: BrowserContext
) -> None:
    page = context.new_page()
    for width in (320, 390, 500):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(service.url)
        for text in ("live", "not started", "waiting for a place"):
            page.locator("#state").evaluate("(state, text) => (state.textContent = text)", text)
            boxes = [page.locator(name).bounding_box() for name in ("h1", "#share", "#open-key")]
            middles = [box["y"] + box["height"] / 2 for box in boxes if box is not None]
            assert len(middles) == 3
            assert max(middles) - min(middles) < 2, (width, text)


def contrast(page: Page, selector: str) -> float:
    """Contrast ratio of an element's text. Source: WCAG 2.2, section 1.4.3."""
    text, ground = page.locator(selector).first.evaluate(
        """el => {
             const parse = colour => colour.match(/[\\d.]+/g).map(Number);
             let behind = el;
             while (parse(getComputedStyle(behind).backgroundColor)[3] === 0) {
               behind = behind.parentElement;
             }
             return [getComputedStyle(el).color, getComputedStyle(behind).backgroundColor]
               .map(colour => parse(colour).slice(0, 3));
           }"""
    )
    lighter, darker = sorted((luminance(text), luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(rgb: list[float]) -> float:
    linear = [c / 3294.6 if c <= 10.31 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
