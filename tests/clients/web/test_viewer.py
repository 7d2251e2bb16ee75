"""Who watches: the share link, the timeline, watch rules, and the right answers of the scene."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.clients.fake_service import Feed, RunningService
from tests.clients.web.visit import expect_state, start_and_wait

pytestmark = [pytest.mark.browser, pytest.mark.webrtc]


def stream(service: RunningService, num_chunks: int = 3) -> Feed:
    """A session with some units, into which nobody streams through a browser."""
    feed = service.fake.create(profile="live")
    service.fake.set_status(feed, "live", started_at_s=1000.0)
    for _ in range(num_chunks):
        service.fake.add_chunk(feed)
    return feed


def watch(page: Page, service: RunningService, feed: Feed) -> None:
    page.goto(f"{service.url}/?session={feed.record.id}#token=ost_viewer")
    expect_state(page, "watching")


def test_shared_link_lets_others_watch_and_ask(
    service: RunningService, page: Page, context: BrowserContext
) -> None:
    start_and_wait(page, service)
    page.click("#share")
    expect(page.locator("#share-dialog")).to_be_visible()
    link = page.locator("#share-link").input_value()

    viewer = context.new_page()
    viewer.goto(link)

    expect_state(viewer, "watching")
    expect(viewer.locator("#session-id")).to_have_text("s0")
    expect(viewer.locator("button.unit").nth(2)).to_be_attached()
    expect(viewer.locator("#overlay")).to_have_attribute("data-kept", "12")
    expect(viewer.locator("#start")).not_to_be_visible()
    viewer.fill("#question", "what is seen ?")
    viewer.press("#question", "Enter")
    expect(viewer.locator(".turn .answer")).to_have_text("a red circle")
    expect(page.locator(".turn .question")).to_have_text("what is seen ?")  # told live
    asked = [h for _, path, h, _ in service.fake.requests if path.endswith("/query")]
    assert [headers["authorization"] for headers in asked] == ["Bearer ost_s0"]


def test_viewer_is_told_what_is_wrong_with_the_link(service: RunningService, page: Page) -> None:
    service.fake.api_key = "secret"
    page.goto(f"{service.url}/?session=gone#token=ost_old")
    expect(page.locator("#alert")).to_contain_text("link is not valid any more")

    page.fill("#api-key", "secret")
    page.click("#save-key")

    expect(page.locator("#alert")).to_contain_text("does not exist here")


def test_units_are_reached_by_keyboard_and_described(service: RunningService, page: Page) -> None:
    watch(page, service, stream(service))
    units = page.locator("button.unit")
    expect(units).to_have_count(3)

    units.first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#unit-detail")).to_contain_text("2.0-4.0 s")
    page.keyboard.press("End")

    expect(page.locator("#unit-detail")).to_contain_text("4.0-6.0 s")
    expect(page.locator("#unit-detail")).to_contain_text("50 → 25 tokens")
    assert units.evaluate_all("all => all.filter(el => el.tabIndex === 0).length") == 1
    expect(units.last).to_have_attribute("aria-label", re.compile("video 24 of 96, audio 25 of 50"))


def test_units_fade_as_they_are_forgotten(service: RunningService, page: Page) -> None:
    feed = stream(service)
    held = [None, {"video_tokens": 6, "audio_tokens": 25}, {"video_tokens": 24, "audio_tokens": 25}]

    def timeline(route: Route) -> None:
        units = [
            data | {"held": of, "has_thumbnail": False, "cuts_s": []}
            for (_, data), of in zip(chunks(feed), held, strict=True)
        ]
        route.fulfill(json={"session_id": feed.record.id, "chunks": units})

    page.route("**/timeline", timeline)
    watch(page, service, feed)

    memory = page.locator("button.unit")
    expect(memory.nth(0)).to_have_attribute("data-memory", "forgotten")
    expect(memory.nth(1)).to_have_attribute("data-memory", "faded")
    expect(memory.nth(2)).to_have_attribute("data-memory", "whole")
    expect(page.locator("#context")).to_have_text("4 s")
    expect(page.locator("#held")).to_have_text("80 tokens")


def test_pictures_that_are_too_large_are_told(service: RunningService, page: Page) -> None:
    feed = stream(service)
    watch(page, service, feed)

    feed.add_event("dropped", reason="oversized")

    expect(page.locator("#alert")).to_contain_text("Send 3840 by 2160 pixels or less")


def test_gaps_and_scene_cuts_are_marked_and_described(service: RunningService, page: Page) -> None:
    feed = stream(service)
    chunks(feed)[1][1]["gaps"] = [{"modality": "video", "start_s": 3.0, "duration_s": 0.5}]
    watch(page, service, feed)
    units = page.locator("button.unit")
    expect(units).to_have_count(3)
    feed.add_event("scene.cut", index=2, at_stream_s=4.5)

    expect(units.nth(1)).to_have_class(re.compile(r"\bgap\b"))
    expect(units.nth(2)).to_have_class(re.compile(r"\bcut\b"))
    expect(units.nth(0)).not_to_have_class(re.compile(r"\b(gap|cut)\b"))
    units.nth(1).focus()
    expect(page.locator("#unit-detail")).to_contain_text("No video")
    expect(page.locator("#unit-detail")).to_contain_text("0.5 s from 3.0 s")
    units.nth(2).focus()
    expect(page.locator("#unit-detail")).to_contain_text("scene cut")


def chunks(feed: Feed) -> list[tuple[str, dict[str, Any]]]:
    return [(type_, data) for type_, data in feed.events if type_ == "chunk"]


def test_span_of_an_answer_is_found_on_the_timeline(service: RunningService, page: Page) -> None:
    service.fake.words = ("from 2-4 s",)
    watch(page, service, stream(service))
    page.locator("button.unit").nth(2).wait_for()

    page.fill("#question", "when ?")
    page.press("#question", "Enter")
    page.click(".turn .answer button")

    expect(page.locator(".units .cited")).to_have_count(1)
    expect(page.locator("#unit-detail")).to_contain_text("2.0-4.0 s")
    expect(page.locator(".unit .question")).to_have_count(1)  # where it was asked


def test_rules_are_added_and_their_matches_shown(service: RunningService, page: Page) -> None:
    feed = stream(service)
    page.route("**/openapi.json", after_the_units(page))
    watch(page, service, feed)

    page.click("#rules summary")
    page.fill("#condition", "Did you hear a bell?")
    page.press("#condition", "Enter")
    expect(page.locator("#rule-list li")).to_contain_text("Did you hear a bell?")
    feed.add_event("rule.matched", rule_id="r0", index=1, start_s=2.0, end_s=4.0)

    expect(page.locator("#rule-matches li")).to_contain_text("Did you hear a bell?")
    expect(page.locator("#rule-matches button")).to_have_text("at 0:02")
    expect(page.locator(".unit .match")).to_have_count(1)
    (rule,) = service.fake.rules.values()
    assert (rule.condition, rule.cooldown_s) == ("Did you hear a bell?", 10)
    page.click("#rule-list button")
    expect(page.locator("#rule-list li")).to_have_count(0)


def test_source_that_feeds_the_session_is_told_with_its_state(
    service: RunningService, page: Page
) -> None:
    feed = stream(service)
    watch(page, service, feed)
    line = page.locator("#feed")
    expect(page.locator("button.unit").nth(2)).to_be_attached()
    expect(line).to_be_hidden()

    camera = {"source_id": "src_1", "url": "rtsp://camera.lan/live", "speed": "realtime"}
    for state, reason, text in (
        ("connecting", None, "Fed by rtsp://camera.lan/live: connecting"),
        ("live", None, "Fed by rtsp://camera.lan/live: live"),
        ("reconnecting", "the stream ended", "reconnecting (the stream ended)"),
        ("failed", "the source refuses: 401", "failed (the source refuses: 401)"),
    ):
        feed.add_event("source.state", **camera, state=state, reason=reason, since_s=1.0)
        expect(line).to_have_attribute("data-state", state)
        expect(line).to_contain_text(text)
    service.fake.set_status(feed, "connecting")  # another publisher
    expect(line).to_be_hidden()
    feed.add_event(
        "source.state",
        source_id="src_2",
        url=None,
        speed="fast",
        state="live",
        reason=None,
        since_s=1.0,
    )

    expect(line).to_have_text("Fed by an uploaded recording: live, played fast")


def after_the_units(page: Page) -> Callable[[Route], None]:
    """Tell which routes there are when the session is shown already."""

    def answer(route: Route) -> None:
        page.locator("button.unit").nth(2).wait_for()
        route.continue_()

    return answer


def test_rules_are_hidden_where_the_service_has_none(service: RunningService, page: Page) -> None:
    page.route("**/openapi.json", lambda route: route.fulfill(json={"paths": {}}))
    with page.expect_response("**/openapi.json"):
        watch(page, service, stream(service))

    expect(page.locator("#rules")).to_be_hidden()


def test_answers_about_the_scene_are_said_to_be_right_or_not(
    service: RunningService, page: Page
) -> None:
    service.fake.words = ("triangle",)
    start_and_wait(page, service)

    for _ in range(2):
        page.locator(".chip").first.click()

    expect(page.locator(".turn").nth(0)).to_contain_text("✓ right")
    expect(page.locator(".turn").nth(1)).to_contain_text("✗ it was: bell")


def test_question_can_be_cancelled(service: RunningService, page: Page) -> None:
    service.fake.words, service.fake.word_gap_s = ("a", "b", "c"), 2.0
    watch(page, service, stream(service))
    expect(page.locator("#ask")).to_be_enabled()

    page.fill("#question", "what ?")
    page.press("#question", "Enter")
    page.click(".turn .meta button")

    expect(page.locator(".turn .meta")).to_have_text("cancelled")
