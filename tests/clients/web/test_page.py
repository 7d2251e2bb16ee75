"""The page in real Chromium against a real server, with real WebRTC between them."""

import re

import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.clients.fake_service import RunningService
from tests.clients.web.conftest import chromium
from tests.clients.web.visit import expect_state, paths, start, start_and_wait, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.webrtc]


def test_sample_scene_is_streamed_and_its_numbers_shown(
    service: RunningService, page: Page
) -> None:
    start_and_wait(page, service)

    receiver = service.fake.feed("s0").receivers["r0"]
    wait_for(lambda: len(receiver.frames["video"]) > 10, page)
    wait_for(lambda: any(f.peak_hz > 250 for f in receiver.frames["audio"]), page)
    assert receiver.frames["video"][-1].size == (448, 448)
    expect(page.locator("#saved")).to_have_text("66 %")
    expect(page.locator("#video-tokens")).to_have_text(re.compile(r"^\d+ → \d+$"))
    expect(page.locator("#lag")).to_have_text("1.25 s")
    expect(page.locator("#session-id")).to_have_text("s0")
    expect(page.locator("#alert")).to_be_hidden()


def test_camera_and_microphone_are_streamed(service: RunningService, page: Page) -> None:
    start_and_wait(page, service, source="devices")

    receiver = service.fake.feed("s0").receivers["r0"]
    wait_for(lambda: len(receiver.frames["video"]) > 5, page)
    # Chromium's fake camera is green, its fake microphone beeps once per second
    assert receiver.frames["video"][-1].colour[1] > 2 * receiver.frames["video"][-1].colour[0]
    wait_for(lambda: any(f.peak_hz > 100 for f in receiver.frames["audio"]), page)
    assert page.locator("#camera option").count() > 1
    assert page.locator("#microphone option").count() > 2


def test_microphone_may_be_left_out(service: RunningService, page: Page) -> None:
    page.goto(service.url)
    page.select_option("#source", "devices")
    page.select_option("#microphone", "none")
    page.click("#start")
    expect_state(page, "live")

    frames = service.fake.feed("s0").receivers["r0"].frames
    wait_for(lambda: len(frames["video"]) > 5, page)
    assert not frames["audio"]


def test_screen_is_shared_until_it_is_not(service: RunningService, page: Page) -> None:
    page.add_init_script(  # headless Chromium has no screen: its picker is what is made up
        """MediaDevices.prototype.getDisplayMedia = async () => {
             const size = { width: 320, height: 240 };
             const canvas = Object.assign(document.createElement("canvas"), size);
             const pen = canvas.getContext("2d");
             setInterval(() => {
               pen.fillStyle = "#0000ff";
               pen.fillRect(0, 0, 320, 240);
             }, 50);
             window.shared = canvas.captureStream(15);
             return window.shared;
           };"""
    )
    start_and_wait(page, service, source="screen")

    receiver = service.fake.feed("s0").receivers["r0"]
    wait_for(lambda: len(receiver.frames["video"]) > 5, page)
    red, _, blue = receiver.frames["video"][-1].colour
    assert blue > 2 * red
    assert not receiver.frames["audio"]
    page.evaluate("() => window.shared.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    expect_state(page, "stopped")
    expect(page.locator("#alert")).to_contain_text("not shared any more")


def test_overlay_follows_the_chunks_and_can_be_hidden(service: RunningService, page: Page) -> None:
    start_and_wait(page, service)
    overlay = page.locator("#overlay")
    expect(overlay).to_have_attribute("data-kept", "12")

    first = overlay.evaluate("el => el.toDataURL()")
    wait_for(lambda: overlay.evaluate("el => el.toDataURL()") != first, page)
    page.uncheck("#show-kept")

    expect(overlay).not_to_be_visible()
    expect(page.locator("#preview")).to_be_visible()


def test_answer_streams_in_with_the_time_of_its_first_word(
    service: RunningService, page: Page
) -> None:
    service.fake.word_gap_s = 0.5
    start_and_wait(page, service)

    page.fill("#question", "what is seen ?")
    page.press("#question", "Enter")

    answer = page.locator(".turn .answer")
    expect(answer).to_have_text("a", timeout=1000)
    expect(answer).to_have_text("a red circle", timeout=5000)
    expect(page.locator(".turn .meta")).to_have_text(
        re.compile(
            r"^TTFT 120 ms \(\d+ ms here\) · 3 tokens · from 34 % of its tokens · saw 0-\d+ s$"
        )
    )
    assert service.fake.bodies("POST", "/query") == [{"question": "what is seen ?", "stream": True}]
    assert page.locator("#question").input_value() == ""


def test_questions_may_overlap(service: RunningService, page: Page) -> None:
    service.fake.word_gap_s = 0.3
    start_and_wait(page, service)

    for question in ("one ?", "two ?"):
        page.fill("#question", question)
        page.click("#ask")

    for n in range(2):
        expect(page.locator(".turn .answer").nth(n)).to_have_text("a red circle", timeout=5000)


def test_answer_is_text_whatever_it_says(service: RunningService, page: Page) -> None:
    service.fake.words = ("<img src=x onerror=alert(1)>",)
    start_and_wait(page, service)

    page.fill("#question", "<b>what</b> ?")
    page.click("#ask")

    expect(page.locator(".turn .answer")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator(".turn img, .turn b").count() == 0


def test_answer_that_fails_says_why(service: RunningService, page: Page) -> None:
    service.fake.words = ("a", "<fail>")
    start_and_wait(page, service)

    page.fill("#question", "what ?")
    page.click("#ask")

    expect(page.locator(".turn.failed .meta")).to_have_text("the engine died.")
    expect(page.locator(".turn .answer")).to_have_text("a")


def test_stop_frees_everything_and_leaves_the_session_to_be_asked(
    service: RunningService, page: Page
) -> None:
    start_and_wait(page, service)

    page.click("#stop")
    expect_state(page, "stopped")

    wait_for(lambda: "/v1/sessions/s0/whip/r0" in paths(service, "DELETE"), page)
    assert page.locator("#preview").evaluate("el => el.srcObject") is None
    page.fill("#question", "what was seen ?")
    page.click("#ask")
    expect(page.locator(".turn .answer")).to_have_text("a red circle")
    page.click("#start")
    expect_state(page, "live")
    expect(page.locator("#session-id")).to_have_text("s1")


def test_stop_before_any_chunk_leaves_no_session(service: RunningService, page: Page) -> None:
    service.fake.chunk_s = 60
    start(page, service)
    expect_state(page, "live")

    page.click("#stop")

    wait_for(lambda: "/v1/sessions/s0" in paths(service, "DELETE"), page)


def test_leaving_the_page_stops_the_publication(service: RunningService, page: Page) -> None:
    start_and_wait(page, service)

    page.goto("about:blank")

    wait_for(lambda: "/v1/sessions/s0/whip/r0" in paths(service, "DELETE"), page)


def test_page_reconnects_after_the_service_was_away(service: RunningService, page: Page) -> None:
    start_and_wait(page, service)

    service.stop()
    expect_state(page, "reconnecting")
    expect(page.locator("#message")).not_to_be_empty()
    service.start()
    expect_state(page, "live")

    shown = page.locator("#context").inner_text()
    expect(page.locator("#context")).not_to_have_text(shown, timeout=10_000)
    assert service.fake.feed("s0").receivers["r1"].frames["video"]
    resumed = [h for _, path, h, _ in service.fake.requests if path.endswith("/events")][1:]
    assert all("last-event-id" in headers for headers in resumed)


def test_session_that_ends_is_said_to_have_ended(service: RunningService, page: Page) -> None:
    start_and_wait(page, service)

    feed = service.fake.feed("s0")
    service.fake.set_status(feed, "ended", reason="time is up")

    expect(page.locator("#alert")).to_contain_text("ended (time is up)")
    expect_state(page, "stopped")
    expect(page.locator("#ask")).to_be_disabled()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(400, "offer_rejected", "refused: offer_rejected."), (409, "session_ended", "has ended")],
)
def test_refusal_is_shown(
    service: RunningService, page: Page, status: int, code: str, message: str
) -> None:
    service.fake.refusals["POST", "/whip"] = (status, code, {})

    start(page, service)

    expect(page.locator("#alert")).to_contain_text(message)
    expect_state(page, "stopped")
    expect(page.locator("#start")).to_be_enabled()


def test_service_that_is_away_is_said_to_be_away(service: RunningService, page: Page) -> None:
    page.goto(service.url)
    service.stop()

    page.click("#start")

    expect(page.locator("#alert")).to_contain_text("cannot be reached")
    service.start()


def test_key_is_asked_for_and_used(service: RunningService, page: Page) -> None:
    service.fake.api_key = "secret"
    start(page, service)
    expect(page.locator("#alert")).to_contain_text("asks for an API key")

    page.fill("#api-key", "wrong")
    page.click("#save-key")
    page.click("#start")
    expect(page.locator("#alert")).to_contain_text("asks for an API key")
    page.fill("#api-key", "secret")
    page.press("#api-key", "Enter")
    page.click("#start")
    expect_state(page, "live")
    page.reload()

    assert page.locator("#api-key").input_value() == "secret"
    assert not any("secret" in path for _, path, _, _ in service.fake.requests)


def test_denied_permission_is_explained(service: RunningService, playwright: Playwright) -> None:
    with chromium(playwright, "--use-fake-ui-for-media-stream=deny") as browser:
        page = browser.new_page()
        start(page, service, source="devices")

        expect(page.locator("#alert")).to_contain_text("does not allow the camera")
        expect_state(page, "stopped")
        assert not service.fake.feeds


def test_silent_microphone_is_told_until_it_is_heard(service: RunningService, page: Page) -> None:
    page.add_init_script(
        """MediaDevices.prototype.getUserMedia = async () => {
             const context = new AudioContext();
             const out = context.createMediaStreamDestination();
             window.level = new GainNode(context, { gain: 0 });
             const tone = new OscillatorNode(context);
             tone.connect(window.level).connect(out);
             tone.start();
             const canvas = Object.assign(document.createElement("canvas"), { width: 64 });
             setInterval(() => canvas.getContext("2d").fillRect(0, 0, 9, 9), 50);
             return new MediaStream([...canvas.captureStream(15).getTracks(),
               ...out.stream.getTracks()]);
           };"""
    )
    start_and_wait(page, service, source="devices")

    expect(page.locator("#message")).to_contain_text("microphone is not muted", timeout=20_000)
    page.evaluate("() => { window.level.gain.value = 0.5; }")

    expect(page.locator("#message")).to_have_text("", timeout=20_000)


def test_insecure_page_explains_and_still_streams_the_scene(
    service: RunningService, page: Page
) -> None:
    page.goto(f"http://insecure.test:{service.port}/")
    page.select_option("#source", "devices")
    expect(page.locator("#alert")).to_contain_text("https or localhost")
    page.click("#start")
    expect(page.locator("#alert")).to_contain_text("https or localhost")

    page.select_option("#source", "scene")
    expect(page.locator("#alert")).to_be_hidden()
    page.click("#start")
    expect_state(page, "live")


def test_page_asks_no_other_host_and_logs_no_error(service: RunningService, page: Page) -> None:
    requested: list[str] = []
    logged: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))

    start_and_wait(page, service)
    page.click("#stop")
    expect_state(page, "stopped")

    assert requested
    assert all(url.startswith((service.url, "blob:")) for url in requested)
    assert logged == []
