"""The page's event-stream reader, in real Chromium, with the stream cut at every place."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.clients.fake_service import RunningService

pytestmark = pytest.mark.browser

READ = """async ([stream, size]) => {
  const { readEvents } = await import("/web/sse.js");
  const bytes = new TextEncoder().encode(stream);
  const body = new ReadableStream({
    start(controller) {
      for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
      controller.close();
    },
  });
  const events = [];
  for await (const event of readEvents(new Response(body))) events.push(event);
  return events;
}"""
STREAM = (
    '\ufeff: hello\n\nid: 1\nevent: chunk\ndata: {"a":\ndata: 1}\n\n'
    "data:caf\u00e9\r\n\r\ndata: one\rdata: two\r\revent: only\n\n"
    "data: x: y\nid: 2\n\ndata: cut short\n"
)
EVENTS = [
    {"type": "chunk", "data": '{"a":\n1}', "id": "1"},
    {"type": "message", "data": "caf\u00e9", "id": "1"},
    {"type": "message", "data": "one\ntwo", "id": "1"},
    {"type": "message", "data": "x: y", "id": "2"},
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_stream_cut_anywhere_gives_the_same_events(
    service: RunningService, page: Page, size: int
) -> None:
    page.goto(service.url)

    events: list[dict[str, Any]] = page.evaluate(READ, [STREAM, size])

    assert events == EVENTS
