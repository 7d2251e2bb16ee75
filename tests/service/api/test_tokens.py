from typing import Any

import httpx

from tests.service.api.conftest import created
from tests.service.api.keys import bearer


async def minted(http: httpx.AsyncClient, session_id: str, key_id: str, **body: Any) -> str:
    path = f"/v1/sessions/{session_id}/tokens"
    response = await http.post(path, json=body, headers=bearer(key_id))
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


async def test_token_opens_its_session_and_no_other(guarded: httpx.AsyncClient) -> None:
    session_id, other_id = await created(guarded, "alice"), await created(guarded, "alice")
    token = await minted(guarded, session_id, "alice", scopes=["ask"])

    async def status(method: str, path: str) -> int:
        return (await guarded.request(method, path, headers=bearer(token))).status_code

    assert await status("GET", f"/v1/sessions/{session_id}") == 200
    assert await status("GET", f"/v1/sessions/{session_id}/turns") == 200
    assert await status("GET", f"/v1/sessions/{other_id}") == 404
    assert await status("GET", "/v1/models") == 200
    assert await status("GET", "/") == 200
    assert await status("DELETE", f"/v1/sessions/{session_id}") == 403
    assert await status("POST", f"/v1/sessions/{session_id}/whip") == 403
    assert await status("GET", "/metrics") == 403
    listed = await guarded.get("/v1/sessions", headers=bearer(token))
    assert [session["id"] for session in listed.json()["data"]] == [session_id]


async def test_answer_says_what_the_token_is_good_for(guarded: httpx.AsyncClient) -> None:
    session_id = await created(guarded, "alice")
    path = f"/v1/sessions/{session_id}/tokens"

    made = await guarded.post(
        path, json={"scopes": ["publish", "ask"], "ttl_s": 60}, headers=bearer("alice")
    )
    default = await guarded.post(path, headers=bearer("alice"))

    assert made.json()["session_id"] == session_id
    assert made.json()["scopes"] == ["ask", "publish"]
    life_s = default.json()["expires_at_s"] - made.json()["expires_at_s"]
    assert 3530 < life_s < 3560
    assert default.json()["scopes"] == ["ask"]


async def test_token_cannot_do_more_than_its_key(guarded: httpx.AsyncClient) -> None:
    session_id = await created(guarded, "camera")

    response = await guarded.post(
        f"/v1/sessions/{session_id}/tokens", json={"scopes": ["ask"]}, headers=bearer("camera")
    )

    assert response.status_code == 403
    assert response.json()["error"]["details"]["scopes"] == ["ask"]


async def test_token_can_make_neither_tokens_nor_sessions(guarded: httpx.AsyncClient) -> None:
    session_id = await created(guarded, "alice")
    token = await minted(guarded, session_id, "alice", scopes=["publish", "ask"])
    sdp = {"Content-Type": "application/sdp", **bearer(token)}

    again = await guarded.post(f"/v1/sessions/{session_id}/tokens", headers=bearer(token))
    session = await guarded.post("/v1/sessions", headers=bearer(token))
    whip = await guarded.post("/whip", content="v=0", headers=sdp)

    assert {again.status_code, session.status_code, whip.status_code} == {403}


async def test_expired_token_is_401(guarded: httpx.AsyncClient, elapse: Any) -> None:
    session_id = await created(guarded, "alice")
    token = await minted(guarded, session_id, "alice", ttl_s=60)

    elapse(61.0)
    response = await guarded.get(f"/v1/sessions/{session_id}", headers=bearer(token))

    assert response.status_code == 401
    assert "expired" in response.json()["error"]["message"]


async def test_token_that_would_be_too_much_is_refused(guarded: httpx.AsyncClient) -> None:
    path = f"/v1/sessions/{await created(guarded, 'root')}/tokens"
    refused: list[tuple[dict[str, Any], int]] = [
        ({"ttl_s": 86_401}, 422),
        ({"ttl_s": 0}, 422),
        ({"ttl_s": -1}, 422),
        ({"scopes": []}, 422),
        ({"scopes": ["admin"]}, 422),
        ({"ttl": 60}, 422),
    ]
    for body, status in refused:
        response = await guarded.post(path, json=body, headers=bearer("root"))

        assert response.status_code == status, body


async def test_token_of_an_open_service_binds_too(http: httpx.AsyncClient) -> None:
    session_id = await created(http, "")
    other_id = await created(http, "")
    token = (await http.post(f"/v1/sessions/{session_id}/tokens")).json()["token"]

    own = await http.get(f"/v1/sessions/{session_id}", headers=bearer(token))
    other = await http.get(f"/v1/sessions/{other_id}", headers=bearer(token))
    delete = await http.delete(f"/v1/sessions/{session_id}", headers=bearer(token))

    assert (own.status_code, other.status_code, delete.status_code) == (200, 404, 403)
