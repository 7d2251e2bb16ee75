"""Scopes, and whose session it is, on every route that there is."""

from dataclasses import asdict

import httpx
import pytest
from fastapi import Depends, FastAPI

from service.access.caller import ANYONE, Scope
from service.api.app import ApiConfig, create_app
from service.api.authority import CallerOf, authorisation, needs
from service.api.errors import add_error_handlers
from service.events import Event
from service.sessions.record import SessionId, Turn
from tests.local import LocalBackend
from tests.service.api.conftest import created
from tests.service.api.keys import KEYRING, KEYS, SCOPES, bearer


def operations(app: FastAPI) -> list[tuple[str, str, list[dict[str, list[str]]]]]:
    return [
        (method.upper(), path, operation["security"])
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.fixture
def app(light_backend: LocalBackend) -> FastAPI:
    return create_app(light_backend, ApiConfig(keyring=KEYRING))


def test_every_route_declares_its_scopes(app: FastAPI) -> None:
    open_paths = {path for _, path, declared in operations(app) if not declared}

    assert open_paths == {"/healthz", "/readyz"}
    assert app.openapi()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_route_that_declares_nothing_is_refused_even_where_no_key_is_needed(
    light_backend: LocalBackend,
) -> None:
    app = FastAPI(dependencies=[Depends(authorisation(light_backend.store))])
    add_error_handlers(app)

    @app.get("/declared", openapi_extra=needs())
    async def declared(caller: CallerOf) -> bool:
        return caller == ANYONE

    @app.get("/forgotten")
    async def forgotten() -> None:
        raise AssertionError("reached")

    async def with_caller(scope, receive, send):  # type: ignore[no-untyped-def]
        scope["state"] = {"caller": ANYONE}
        await app(scope, receive, send)

    transport = httpx.ASGITransport(with_caller)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.get("/declared")).json() is True
        assert (await http.get("/forgotten")).status_code == 403


async def test_scope_that_a_route_declares_is_the_one_it_takes(
    guarded: httpx.AsyncClient, app: FastAPI
) -> None:
    own = {key_id: await created(guarded, "root") for key_id in KEYS}
    for method, path, declared in operations(app):
        ways = [set(one["bearer"]) for one in declared]
        for key_id, scopes in SCOPES.items():
            target = path.replace("{session_id}", own[key_id]).replace("{resource_id}", "r")
            response = await guarded.request(method, target, headers=bearer(key_id))
            may = not ways or "admin" in scopes or any(way <= set(scopes) for way in ways)
            assert (response.status_code == 403) == (not may), (method, path, key_id)


async def test_another_keys_session_is_unknown_on_every_route(
    guarded: httpx.AsyncClient, app: FastAPI
) -> None:
    session_id = await created(guarded, "alice")
    bodies = {"query": {"question": "what?"}}
    checked = 0
    for method, path, _ in operations(app):
        if "{session_id}" not in path:
            continue
        target = path.replace("{session_id}", session_id).replace("{resource_id}", "r")
        body = bodies.get(path.rpartition("/")[2])
        response = await guarded.request(method, target, headers=bearer("bob"), json=body)
        assert response.status_code == 404, (method, path)
        assert response.json()["error"]["code"] == "session_not_found"
        checked += 1

    assert checked > 8
    assert (await guarded.get(f"/v1/sessions/{session_id}", headers=bearer("alice"))).is_success


async def test_another_keys_session_is_unknown_to_chat(guarded: httpx.AsyncClient) -> None:
    session_id = await created(guarded, "alice")
    chat = {
        "model": "m",
        "messages": [{"role": "user", "content": "what?"}],
        "session_id": session_id,
    }

    async def status(key_id: str) -> int:
        response = await guarded.post("/v1/chat/completions", json=chat, headers=bearer(key_id))
        return response.status_code

    assert [await status(key_id) for key_id in ("alice", "bob", "viewer", "root")] == [
        200,
        404,
        404,
        200,
    ]


async def test_who_may_only_publish_sees_no_turns(
    guarded: httpx.AsyncClient, light_backend: LocalBackend
) -> None:
    session_id = SessionId(await created(guarded, "alice"))
    turn = Turn("q1", "what?", "a secret", 1.0, 2.0, "stop", None, 1.0, 1, 1)
    await light_backend.store.add_turn(session_id, turn)
    await light_backend.store.publish(Event("turn", session_id, 1.0, asdict(turn)))
    path = f"/v1/sessions/{session_id}"
    tokens = {}
    for scope in ("publish", "ask"):
        made = await guarded.post(
            f"{path}/tokens", json={"scopes": [scope]}, headers=bearer("alice")
        )
        tokens[scope] = bearer(made.json()["token"])
    await guarded.delete(path, headers=bearer("alice"))

    for route in ("events", "timeline"):
        seen = await guarded.get(f"{path}/{route}", headers=tokens["ask"])
        kept = await guarded.get(f"{path}/{route}", headers=tokens["publish"])
        assert "what?" in seen.text
        assert kept.status_code == 200
        assert "what?" not in kept.text
        assert "a secret" not in kept.text
    assert (await guarded.get(f"{path}/turns", headers=tokens["publish"])).status_code == 403


async def test_refusal_looks_as_for_a_session_that_never_was(guarded: httpx.AsyncClient) -> None:
    session_id = await created(guarded, "alice")

    other = await guarded.get(f"/v1/sessions/{session_id}", headers=bearer("bob"))
    none = await guarded.get("/v1/sessions/s_none", headers=bearer("bob"))

    assert other.text.replace(session_id, "") == none.text.replace("s_none", "")


async def test_list_shows_a_keys_own_sessions_and_all_to_admin(guarded: httpx.AsyncClient) -> None:
    own = {key_id: await created(guarded, key_id) for key_id in ("alice", "bob", "root")}

    async def listed(credential: str) -> set[str]:
        response = await guarded.get("/v1/sessions", headers=bearer(credential))
        return {session["id"] for session in response.json()["data"]}

    assert await listed("alice") == {own["alice"]}
    assert await listed("bob") == {own["bob"]}
    assert await listed("viewer") == set()
    assert await listed("root") == set(own.values())


def test_needs_is_an_alternative_of_scopes() -> None:
    assert needs(Scope.ASK, Scope.PUBLISH)["security"] == [
        {"bearer": ["ask"]},
        {"bearer": ["publish"]},
    ]
    assert needs()["security"] == [{"bearer": []}]
