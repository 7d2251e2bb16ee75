"""What must not be in any log: keys, tokens, cookies, passwords, and what people ask."""

import logging
import traceback
from pathlib import Path

import httpx
import pytest

from clients.sdk import AsyncClient
from service.api.app import ApiConfig, create_app
from service.errors import StoreUnavailable
from service.sessions.redis_store import RedisSessionStore
from tests.local import LocalBackend, local_backend, served
from tests.service.api.conftest import Streamer
from tests.service.api.keys import KEYRING, KEYS, bearer

QUESTION = "where did I leave my umbrella?"
INSTRUCTIONS = "You answer Margaret."


async def whole_run(backend: LocalBackend) -> list[str]:
    """Use every kind of credential and question; returns what must stay secret."""
    app = create_app(backend, ApiConfig(keyring=KEYRING, token_secret=b"signing secret " * 3))
    async with (
        served(app) as url,
        httpx.AsyncClient(base_url=url, timeout=20.0) as http,
        AsyncClient(url, api_key=KEYS["alice"]) as client,
    ):
        streamer = Streamer(backend, client)
        session_id = await streamer.session(instructions=INSTRUCTIONS)
        token = (await client.mint_token(session_id)).token
        query = {"question": QUESTION, "max_tokens": 4}
        path = f"/v1/sessions/{session_id}"
        for credential in ("alice", token, token + "x", "bob", KEYS["alice"][:-1]):
            for body in (query, {**query, "stream": True}, {**query, "window_s": "x"}):
                await http.post(f"{path}/query", json=body, headers=bearer(credential))
        chat = {"model": "m", "session_id": session_id, "max_tokens": 4}
        messages = [{"role": "user", "content": QUESTION}]
        await http.post(
            "/v1/chat/completions", json={**chat, "messages": messages}, headers=bearer("alice")
        )
        cookie = (await http.post("/v1/page-pass", headers=bearer("alice"))).cookies.popitem()[1]
        await http.get("/")
        turns = await client.turns(session_id)
        await client.end_session(session_id)
    assert len(turns) == 5
    return [*KEYS.values(), token, cookie, "signing secret", QUESTION, INSTRUCTIONS]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that formatters could write of the service's records: messages, fields, tracebacks."""
    return "\n".join(
        f"{record.getMessage()} {vars(record)}"
        + "".join(traceback.format_exception(*record.exc_info) if record.exc_info else ())
        for record in caplog.records
        if not record.name.startswith(("httpx", "httpcore"))  # the client, which is the test's
    )


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_no_secret_and_no_question_is_logged(
    redis_url: str, checkpoint: Path, everything: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("service").debug("captured")
    async with local_backend(redis_url, checkpoint) as backend:
        secrets = await whole_run(backend)

    text = logged(everything)
    assert "captured" in text
    assert "request refused" in text
    assert [secret for secret in secrets if secret in text] == []


async def test_questions_and_answers_are_logged_where_that_is_switched_on(
    redis_url: str, checkpoint: Path, everything: pytest.LogCaptureFixture
) -> None:
    async with local_backend(redis_url, checkpoint, logs_prompts=True) as backend:
        secrets = await whole_run(backend)

    text = logged(everything)
    assert [secret for secret in secrets if secret in text] == [QUESTION]


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@127.0.0.1:1/0", "redis://user:hunter2@127.0.0.1:1/0"]
)
async def test_password_of_redis_is_in_no_error_and_no_log(
    url: str, everything: pytest.LogCaptureFixture
) -> None:
    store = RedisSessionStore.connect(url)

    with pytest.raises(StoreUnavailable) as caught:
        await store.ping()
    await store.aclose()

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in logged(everything)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@127.0.0.1:port/0", "http://:hunter2@127.0.0.1/", ":hunter2@"]
)
def test_password_is_not_in_the_refusal_of_a_malformed_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        RedisSessionStore.connect(url)

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
