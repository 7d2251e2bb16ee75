"""What a key may use, as its holder meets it."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from service.access.limits import KeyLimits
from service.api.app import ApiConfig, create_app
from service.api.watchers import WatchersConfig
from tests.local import fake_backend, served
from tests.service.api.conftest import created
from tests.service.api.keys import KEYRING, bearer

LIMITS = KeyLimits(max_sessions=2, questions_per_minute=4, max_questions=2, max_rules=1)


@pytest.fixture
async def limited(redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    watchers = WatchersConfig(keep_alive_s=0.2, max_key_streams=1)
    async with (
        fake_backend(redis_url, LIMITS) as backend,
        served(create_app(backend, ApiConfig(keyring=KEYRING, watchers=watchers))) as url,
        httpx.AsyncClient(base_url=url, timeout=20.0) as http,
    ):
        yield http


def check_limited(response: httpx.Response) -> None:
    assert response.status_code == 429, response.text
    assert int(response.headers["Retry-After"]) >= 1
    assert response.json()["error"]["code"] == "rate_limited"


async def test_open_sessions_are_limited_by_key(limited: httpx.AsyncClient) -> None:
    session_id = await created(limited, "alice")
    await created(limited, "alice")

    check_limited(await limited.post("/v1/sessions", headers=bearer("alice")))
    sdp = {"Content-Type": "application/sdp", **bearer("alice")}
    check_limited(await limited.post("/whip", content="v=0", headers=sdp))
    await created(limited, "bob")

    await limited.delete(f"/v1/sessions/{session_id}", headers=bearer("alice"))


async def test_questions_a_minute_are_limited_by_key_and_its_tokens(
    limited: httpx.AsyncClient,
) -> None:
    session_id = await created(limited, "alice")
    path = f"/v1/sessions/{session_id}"
    token = (await limited.post(f"{path}/tokens", headers=bearer("alice"))).json()["token"]

    async def ask(credential: str, *, stream: bool) -> httpx.Response:
        body = {"question": "what?", "stream": stream}
        return await limited.post(f"{path}/query", json=body, headers=bearer(credential))

    for number in range(4):  # ended ones do not count as running
        answered = await ask("alice" if number % 2 else token, stream=number > 1)
        assert answered.status_code == 200, answered.text

    check_limited(await ask(token, stream=False))
    chat = {
        "model": "m",
        "messages": [{"role": "user", "content": "what?"}],
        "session_id": session_id,
    }
    refused = await limited.post("/v1/chat/completions", json=chat, headers=bearer("alice"))
    check_limited(refused)
    assert refused.json()["error"]["type"] == "rate_limit_error"


async def test_event_watchers_are_limited_by_key(limited: httpx.AsyncClient) -> None:
    paths = {
        key_id: f"/v1/sessions/{await created(limited, key_id)}/events"
        for key_id in ("alice", "bob")
    }
    async with limited.stream("GET", paths["alice"], headers=bearer("alice")) as watching:
        assert watching.status_code == 200
        await asyncio.sleep(0.1)
        check_limited(await limited.get(paths["alice"], headers=bearer("alice")))
        async with limited.stream("GET", paths["bob"], headers=bearer("bob")) as other:
            assert other.status_code == 200


async def test_watch_rules_are_limited_by_the_sessions_key(limited: httpx.AsyncClient) -> None:
    first, second = [f"/v1/sessions/{await created(limited, 'alice')}/rules" for _ in range(2)]
    rule = {"condition": "Is it raining?"}
    made = await limited.post(first, json=rule, headers=bearer("alice"))
    assert made.status_code == 201

    check_limited(await limited.post(second, json=rule, headers=bearer("alice")))
    check_limited(await limited.post(second, json=rule, headers=bearer("root")))
    await limited.delete(f"{first}/{made.json()['id']}", headers=bearer("alice"))
    assert (await limited.post(second, json=rule, headers=bearer("alice"))).status_code == 201
