"""The page when things go wrong: no place, a move, no network, another origin."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.clients.fake_service import RunningService
from tests.clients.web.visit import expect_state, paths, start, start_and_wait, wait_for

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.webrtc]


def test_full_service_is_waited_for(service: RunningService, page: Page) -> None:
    service.fake.refusals["POST", "/v1/sessions"] = (503, "at_capacity", {"retry-after": "2"})
    start(page, service)

    expect_state(page, "waiting")
    expect(page.locator("#message")).to_contain_text("The service is full. Trying again in")
    service.fake.refusals.clear()

    expect_state(page, "live")


def test_waiting_ends_with_stop(service: RunningService, page: Page) -> None:
    service.fake.refusals["POST", "/v1/sessions"] = (503, "at_capacity", {"retry-after": "60"})
    start(page, service)
    expect_state(page, "waiting")

    page.click("#stop")

    expect_state(page, "stopped")
    expect(page.locator("#start")).to_be_enabled()


def test_publisher_follows_a_session_that_moves(service: RunningService, page: Page) -> None:
    start_and_wait(page, service)
    page.wait_for_timeout(3000)  # a move told sooner is the one that it came along with

    service.fake.feed("s0").add_event("session.moving", stage="ingest", reason="drain")

    expect(page.locator("#message")).to_contain_text("moves this session")
    wait_for(lambda: len(service.fake.feed("s0").receivers) == 2, page)
    expect_state(page, "live")
    assert "/v1/sessions/s0/whip/r0" in paths(service, "DELETE")


def test_page_comes_back_though_a_proxy_says_500_meanwhile(
    service: RunningService, page: Page
) -> None:
    start_and_wait(page, service)
    offers = paths(service, "POST").count("/v1/sessions/s0/whip")
    service.fake.refusals["POST", "/whip"] = (500, "internal_error", {})

    service.stop()
    service.start()
    wait_for(lambda: paths(service, "POST").count("/v1/sessions/s0/whip") > offers, page)
    service.fake.refusals.clear()

    expect_state(page, "live")
    assert service.fake.feed("s0").receivers["r1"]


def test_page_without_network_says_so_and_comes_back(
    service: RunningService, page: Page, context: BrowserContext
) -> None:
    page.goto(service.url)
    context.set_offline(True)
    page.click("#start")
    expect(page.locator("#alert")).to_contain_text("offline")

    context.set_offline(False)
    page.click("#start")

    expect_state(page, "live")


def test_page_speaks_to_the_service_that_is_named_and_to_no_other(
    service: RunningService, page: Page
) -> None:
    elsewhere = f"http://localhost:{service.port}"  # the same server, another origin
    page.goto(f"{service.url}/?api={elsewhere}")

    page.click("#start")

    # the fake lets no other origin in, as a service that is not told to
    expect(page.locator("#alert")).to_contain_text(f"names {service.url}")
    expect(page.locator("#service")).to_have_text(f"localhost:{service.port}")
    own = "url => fetch(url).then(() => 'reached', error => error.name)"
    assert page.evaluate(own, f"{service.url}/v1/sessions") == "TypeError"
    assert ("POST", "/v1/sessions") not in [(m, p) for m, p, _, _ in service.fake.requests]


def test_keys_of_two_services_are_kept_apart(service: RunningService, page: Page) -> None:
    page.goto(service.url)
    page.click("#open-key")
    page.fill("#api-key", "mine")
    page.click("#save-key")

    page.goto(f"{service.url}/?api=https://elsewhere.example")

    assert page.locator("#api-key").input_value() == ""


@pytest.mark.parametrize(
    ("source", "error", "advice"),
    [
        ("devices", "NotFoundError", "Connect one"),
        ("devices", "NotReadableError", "in use by another program"),
        ("screen", "NotAllowedError", "pick a screen"),
    ],
)
def test_source_that_cannot_be_had_is_explained(
    service: RunningService, page: Page, source: str, error: str, advice: str
) -> None:
    page.add_init_script(
        f"""for (const name of ["getUserMedia", "getDisplayMedia"]) {{
              MediaDevices.prototype[name] = async () => {{
                throw new DOMException("no", "{error}");
              }};
            }}"""
    )
    start(page, service, source=source)

    expect(page.locator("#alert")).to_contain_text(advice)
    expect_state(page, "stopped")


def test_browser_without_webrtc_is_told(service: RunningService, page: Page) -> None:
    page.add_init_script("delete window.RTCPeerConnection")
    start(page, service)

    expect(page.locator("#alert")).to_contain_text("WebRTC")
    expect_state(page, "stopped")
