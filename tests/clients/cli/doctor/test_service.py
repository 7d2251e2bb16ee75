import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from clients.cli.doctor.service import check_service, scopes_of, skew
from clients.sdk import Client, Unauthorized
from clients.sdk.calls import Reply
from service.api.app import ApiConfig, create_app
from tests.clients.fake_service import RunningService
from tests.local import fake_backend, served
from tests.service.api.keys import KEYRING, KEYS

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("off_s", "level", "words"),
    [(0, "ok", "within 1 s"), (31, "warn", "31 s ahead of"), (-3600, "warn", "3600 s behind")],
)
def test_clocks_are_compared(off_s: float, level: str, words: str) -> None:
    reply = Reply("http://h/healthz", 200, {"date": format_datetime(NOW, usegmt=True)}, b"")

    found = skew(reply, NOW + timedelta(seconds=off_s))

    assert found.level == level
    assert words in found.message


def test_answer_without_a_date_is_no_failure() -> None:
    assert skew(Reply("http://h/healthz", 200, {}, b""), NOW).level == "warn"


def test_service_that_is_not_there_ends_the_checks() -> None:
    with Client("http://127.0.0.1:9") as client:
        (found,) = check_service(client, has_key=False)

    assert found.level == "fail"
    assert "make serve" in found.advice


def test_wrong_key_is_said_to_be_so(service: RunningService) -> None:
    service.fake.api_key = "secret"

    with Client(service.url, api_key="other") as client:
        found = {finding.check: finding for finding in check_service(client, has_key=True)}

    assert found["service"].level == "ok"
    assert found["key"].level == "fail"
    assert "OMNISIFT_API_KEY" in found["key"].advice


def test_open_service_needs_no_key(service: RunningService) -> None:
    with Client(service.url) as client:
        found = {finding.check: finding for finding in check_service(client, has_key=False)}

    assert "open to all" in found["key"].message
    assert found["model"].message == "omnisift-tiny"


@pytest.mark.redis
async def test_scopes_of_real_keys_and_tokens_are_found_out(redis_url: str) -> None:
    async with fake_backend(redis_url) as backend:
        app = create_app(backend, ApiConfig(keyring=KEYRING))
        async with served(app) as url:
            found = await asyncio.to_thread(_all_scopes, url)

    assert found == {
        "alice": ("publish", "ask"),
        "camera": ("publish",),
        "viewer": ("ask",),
        "scraper": ("metrics",),
        "root": ("publish", "ask", "metrics"),
        "a token to ask": ("ask",),
    }


@pytest.mark.redis
async def test_missing_and_unknown_keys_are_refused(redis_url: str) -> None:
    async with fake_backend(redis_url) as backend:
        app = create_app(backend, ApiConfig(keyring=KEYRING))
        async with served(app) as url:
            for key in (None, "osk_unknown"):
                with Client(url, api_key=key) as client, pytest.raises(Unauthorized):
                    await asyncio.to_thread(scopes_of, client)


def _all_scopes(url: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for name in ("alice", "camera", "viewer", "scraper", "root"):
        with Client(url, api_key=KEYS[name]) as client:
            found[name] = scopes_of(client)
    with Client(url, api_key=KEYS["alice"]) as client:
        token = client.mint_token(client.create_session().id, scopes=["ask"]).token
    with Client(url, api_key=token) as client:
        found["a token to ask"] = scopes_of(client)
    return found
