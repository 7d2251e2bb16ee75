import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from service.api.errors import add_error_handlers, error_body
from service.errors import AtCapacity, NoMediaYet, SessionNotFound


class Body(BaseModel):
    count: int


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/full")
    async def full() -> None:
        raise AtCapacity(stage="llm", limit=8, retry_after_s=2.5)

    @app.get("/v1/chat/completions")
    async def chat() -> None:
        raise SessionNotFound("s9")

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("secret detail")

    @app.post("/body")
    async def body(body: Body) -> None: ...

    @app.post("/v1/chat/completions")
    async def chat_body(body: Body) -> None: ...

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_service_error_carries_code_details_and_retry_after(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/full")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "3"
    error = response.json()["error"]
    assert (error["code"], error["retryable"]) == ("at_capacity", True)
    assert error["details"] == {"stage": "llm", "limit": 8, "retry_after_s": 2.5}


async def test_openai_routes_answer_in_openai_shape(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/chat/completions")

    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "no session 's9'",
        "type": "not_found_error",
        "param": None,
        "code": "session_not_found",
    }


async def test_bug_is_500_and_tells_no_detail(client: httpx.AsyncClient) -> None:
    response = await client.get("/bug")

    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text


async def test_invalid_body_lists_every_problem(client: httpx.AsyncClient) -> None:
    response = await client.post("/body", json={"count": "many"})

    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == "invalid_body"
    assert error["details"]["problems"][0]["field"] == "body.count"


async def test_invalid_body_on_openai_routes_is_400(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/chat/completions", json={})

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_unknown_route_and_method_have_the_same_shape(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["error"]["code"] == "no_such_route"
    assert (await client.delete("/full")).json()["error"]["code"] == "method_not_allowed"


def test_retryable_conflict_says_when() -> None:
    body = error_body(NoMediaYet("s1"), "/v1/sessions/s1/query")

    assert body["error"]["retryable"] is True
    assert body["error"]["details"]["retry_after_s"] == 2.0
