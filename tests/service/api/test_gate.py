"""Nothing but health answers without a credential: found by crawling, not by a list."""

from pathlib import Path

import httpx
from starlette.types import Message, Receive, Scope, Send

from service.access.credentials import Credentials
from service.access.signing import Signer
from service.api.gate import Gate
from tests.service.api.keys import KEYRING, KEYS, bearer

WEB = Path(__file__).parents[3] / "clients" / "web"
HEALTH = {"/healthz", "/readyz"}
FILES = [f"/web/{path.relative_to(WEB).as_posix()}" for path in WEB.rglob("*") if path.is_file()]
OTHERS = ["/", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/web", "/web/", "/no"]
ODD = ["/healthz/", "//healthz", "/healthz/../v1/sessions", "/HEALTHZ", "/v1/sessions/", "/%2e/"]


async def operations(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    paths = (await http.get("/openapi.json", headers=bearer("viewer"))).json()["paths"]
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, methods in paths.items()
        for method in methods
    ]


async def test_no_route_of_the_description_answers_without_a_key(
    guarded: httpx.AsyncClient,
) -> None:
    found = await operations(guarded)
    assert len(found) > 15

    for method, path in found:
        response = await guarded.request(method, path)
        if path in HEALTH:
            assert response.status_code == 200
            continue
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["error"]["code"] == "unauthorized"


async def test_no_file_and_no_other_path_answers_without_a_key(guarded: httpx.AsyncClient) -> None:
    assert len(FILES) > 8
    for path in [*FILES, *OTHERS, *ODD]:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            assert (await guarded.request(method, path)).status_code == 401, (method, path)


async def test_wrong_credential_is_401_and_is_not_repeated(guarded: httpx.AsyncClient) -> None:
    for header in [
        "Bearer",
        "Bearer osk_wrong",
        f"Basic {KEYS['alice']}",
        KEYS["alice"],
        f"Bearer {KEYS['alice']}x",
        f"Bearer {KEYS['alice']},{KEYS['alice']}",
    ]:
        response = await guarded.get("/v1/sessions", headers={"Authorization": header})

        assert response.status_code == 401
        assert KEYS["alice"] not in response.text


async def test_key_opens_files_and_routes(guarded: httpx.AsyncClient) -> None:
    for path in ["/", "/web/app.js", "/docs", "/openapi.json", "/v1/sessions", "/v1/models"]:
        assert (await guarded.get(path, headers=bearer("viewer"))).status_code == 200
    scheme = {"Authorization": f"bearer {KEYS['viewer']}"}
    assert (await guarded.get("/v1/sessions", headers=scheme)).status_code == 200


async def test_connection_that_is_no_request_is_closed_before_any_route() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("reached")

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    gate = Gate(app, credentials=Credentials(KEYRING, Signer(b"s" * 32)), clock=lambda: 0.0)
    await gate({"type": "websocket", "path": "/v1/sessions"}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_openai_routes_refuse_in_openai_shape(guarded: httpx.AsyncClient) -> None:
    response = await guarded.post("/v1/chat/completions", json={})

    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


async def test_service_without_keys_needs_none(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/sessions")).status_code == 200
    assert (await http.get("/metrics")).status_code == 200
    assert (await http.get("/v1/models", headers=bearer("anything"))).status_code == 200
