"""The helper that other pages use, in a page that has nothing else."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.clients.fake_service import RunningService

pytestmark = [pytest.mark.browser, pytest.mark.webrtc]

USE = """async (url) => {
  const { connect } = await import("/web/omnisift.js");
  const { startScene } = await import("/web/scene.js");
  const live = await connect({ url, profile: "live" });
  const states = [];
  await live.publish(startScene().stream, (state) => states.push(state));
  for await (const event of live.events()) if (event.type === "chunk") break;
  let answer = "";
  for await (const piece of live.ask("What is seen?")) answer = piece.answer ?? answer;
  const joined = await connect({ url, sessionId: live.id });
  const turns = await joined.turns();
  await live.close();
  return { states, answer, turns: turns.length, token: await live.token() };
}"""

PURE = """async () => {
  const { citations, fidelity, History } = await import("/web/history.js");
  const { iceServersOf } = await import("/web/whip.js");
  const { soundsBetween, thingsAt } = await import("/web/scene.js");
  const tokens = { video: { in: 80, kept: 20 }, audio: { in: 20, kept: 20 } };
  const history = new History();
  for (const index of [1, 0, ...Array(460).keys()]) history.addUnit({ index, tokens });
  return {
    citations: citations("a bell at 12.5 s, then 14 to 16 seconds of it; 3 times"),
    fidelity: fidelity({ tokens, held: { video_tokens: 0, audio_tokens: 20 } }),
    forgotten: history.trim().map(({ index }) => index),
    ice: iceServersOf('<stun:a.example>; rel="ice-server", </x>; rel="urn:omnisift:query", ' +
      '<turn:b.example:3478?transport=udp>; rel="ice-server"; username="1:u"; ' +
      'credential="a+b/c="; credential-type="password"'),
    sounds: soundsBetween(19, 27.5),
    things: thingsAt(24.6).map(({ colour }) => colour),
  };
}"""


def test_ten_lines_connect_follow_and_ask(service: RunningService, page: Page) -> None:
    page.goto(f"{service.url}/openapi.json")

    told: dict[str, Any] = page.evaluate(USE, service.url)

    assert told == {
        "states": ["connecting", "live"],
        "answer": "a red circle",
        "turns": 1,
        "token": "ost_s0",
    }


def test_pure_parts(service: RunningService, page: Page) -> None:
    page.goto(f"{service.url}/openapi.json")

    told: dict[str, Any] = page.evaluate(PURE)

    assert [part["span"] for part in told["citations"]] == [
        None,
        [12.5, 12.51],
        None,
        [14, 16],
        None,
    ]
    assert told["fidelity"] == {"kept": 0.4, "memory": 0.5}
    assert told["forgotten"] == list(range(10))
    assert told["ice"] == [
        {"urls": "stun:a.example"},
        {"urls": "turn:b.example:3478?transport=udp", "username": "1:u", "credential": "a+b/c="},
    ]
    assert told["sounds"] == [{"kind": "bell", "atS": 21}, {"kind": "chirp", "atS": 27}]
    assert told["things"] == ["red", "green"]
