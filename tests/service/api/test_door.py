import re

import httpx

from service.api.door import PAGE_COOKIE, SCRIPT
from tests.service.api.conftest import created
from tests.service.api.keys import bearer

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


async def test_browser_without_a_pass_gets_the_door_as_401(guarded: httpx.AsyncClient) -> None:
    for path in ("/", "/?session=s1", "/docs"):
        response = await guarded.get(path, headers=BROWSER)

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"  # no dialog of the browser's
        assert response.headers["Cache-Control"] == "no-store"
        assert SCRIPT in response.text


async def test_only_the_doors_own_script_may_run(guarded: httpx.AsyncClient) -> None:
    response = await guarded.get("/", headers=BROWSER)

    policy = response.headers["Content-Security-Policy"]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", policy)
    assert "default-src 'none'" in policy
    assert response.text.count("<script") == 1


async def test_data_and_files_are_refused_without_a_door(guarded: httpx.AsyncClient) -> None:
    for path in ("/web/app.js", "/v1/sessions", "/nowhere"):
        response = await guarded.get(path, headers=BROWSER)

        assert response.status_code == 401
        assert response.json()["error"]["code"] == "unauthorized"


async def test_credential_is_traded_for_a_pass_that_opens_the_page_and_no_data(
    guarded: httpx.AsyncClient,
) -> None:
    session_id = await created(guarded, "alice")

    entered = await guarded.post("/v1/page-pass", headers=bearer("alice"))

    assert entered.status_code == 204
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith(f"{PAGE_COOKIE}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    for path in ("/", "/web/app.js", "/docs", "/openapi.json"):  # the client keeps cookies
        assert (await guarded.get(path)).status_code == 200
    for path in ("/v1/sessions", f"/v1/sessions/{session_id}", "/metrics", "/v1/models"):
        assert (await guarded.get(path)).status_code == 401
    assert (await guarded.post("/v1/page-pass")).status_code == 401
    assert (await guarded.post("/")).status_code == 401


async def test_pass_is_kept_from_plain_connections_where_there_is_tls(
    guarded: httpx.AsyncClient,
) -> None:
    headers = {**bearer("alice"), "X-Forwarded-Proto": "https"}

    assert "Secure" in (await guarded.post("/v1/page-pass", headers=headers)).headers["Set-Cookie"]


async def test_forged_pass_is_refused(guarded: httpx.AsyncClient) -> None:
    for value in ("", "x", "x.y", "a b", '"'):
        headers = {"Cookie": f"{PAGE_COOKIE}={value}"}

        assert (await guarded.get("/web/app.js", headers=headers)).status_code == 401
