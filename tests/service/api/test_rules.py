import httpx
import pytest

from tests.local import LocalBackend


async def test_rule_is_made_listed_and_deleted(guarded: httpx.AsyncClient) -> None:
    from tests.service.api.conftest import created
    from tests.service.api.keys import bearer

    session_id = await created(guarded, "alice")
    path, alice = f"/v1/sessions/{session_id}/rules", bearer("alice")

    made = await guarded.post(path, json={"condition": "Did you hear a beep?"}, headers=alice)
    listed = (await guarded.get(path, headers=alice)).json()["data"]
    other = await guarded.get(path, headers=bearer("bob"))
    gone = await guarded.delete(f"{path}/{made.json()['id']}", headers=alice)
    again = await guarded.delete(f"{path}/{made.json()['id']}", headers=alice)

    assert made.status_code == 201
    assert made.json()["webhook_secret"] is None
    assert [rule["condition"] for rule in listed] == ["Did you hear a beep?"]
    assert "webhook_secret" not in listed[0]
    assert other.status_code == 404
    assert gone.status_code == 204
    assert (again.status_code, again.json()["error"]["code"]) == (404, "rule_not_found")


async def test_number_of_rules_is_bounded(http: httpx.AsyncClient) -> None:
    session_id = (await http.post("/v1/sessions")).json()["id"]
    path = f"/v1/sessions/{session_id}/rules"

    replies = [await http.post(path, json={"condition": f"{n}?"}) for n in range(17)]

    assert [reply.status_code for reply in replies] == [201] * 16 + [400]
    assert "at most 16 rules" in replies[-1].json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"condition": ""}, 422, "invalid_body"),
        ({"condition": "?", "threshold": 1.0}, 422, "invalid_body"),
        ({"condition": "?", "webhook_url": "http://127.0.0.1:9/"}, 400, "url_refused"),
        ({"condition": "?", "webhook_url": "file:///etc/passwd"}, 400, "url_refused"),
        ({"condition": "?", "cooldown": 3}, 422, "invalid_body"),
    ],
)
async def test_rule_that_cannot_be_is_refused(
    http: httpx.AsyncClient, body: dict[str, object], status: int, code: str
) -> None:
    session_id = (await http.post("/v1/sessions")).json()["id"]

    response = await http.post(f"/v1/sessions/{session_id}/rules", json=body)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_session_that_is_over_is_not_watched(
    http: httpx.AsyncClient, backend: LocalBackend
) -> None:
    session_id = (await http.post("/v1/sessions")).json()["id"]
    await http.delete(f"/v1/sessions/{session_id}")

    response = await http.post(f"/v1/sessions/{session_id}/rules", json={"condition": "?"})

    assert response.json()["error"]["code"] == "session_ended"
