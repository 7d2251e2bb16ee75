import gzip
import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.api.limits import BodyLimit


async def echo_size(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(
        routes=[
            Route("/v1/sessions", echo_size, methods=["GET", "POST"]),
            Route("/v1/sessions/s/whip", echo_size, methods=["POST"]),
            Route("/v1/chat/completions", echo_size, methods=["POST"]),
        ]
    )
    limited = BodyLimit(app, json_bytes=100, sdp_bytes=1000)
    return httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://test")


async def test_body_within_the_limit_arrives_whole(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/sessions", content=b"x" * 100)

    assert response.text == "100"


async def test_body_over_the_limit_is_413(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/sessions", content=b"x" * 101)

    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"
    assert "100 bytes" in response.json()["error"]["message"]


async def test_whip_has_its_own_limit(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/sessions/s/whip", content=b"x" * 1000)).text == "1000"
    assert (await client.post("/v1/sessions/s/whip", content=b"x" * 1001)).status_code == 413


async def test_streamed_body_without_length_is_counted(client: httpx.AsyncClient) -> None:
    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(11):
            yield b"x" * 10

    response = await client.post("/v1/sessions", content=pieces())

    assert response.status_code == 413


async def test_openai_routes_answer_in_openai_shape(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/chat/completions", content=json.dumps({"x": "y" * 200}))

    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


async def test_compressed_body_is_refused_unread(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b"x" * 100_000)
    assert len(bomb) > 100  # over the limit too, but that is not looked at

    for encoding in ("gzip", "GZIP", "deflate", "identity, gzip", "br"):
        response = await client.post(
            "/v1/sessions", content=bomb, headers={"Content-Encoding": encoding}
        )
        assert response.status_code == 415
        assert response.json()["error"]["code"] == "unsupported_encoding"
    plain = {"Content-Encoding": "identity"}
    assert (await client.post("/v1/sessions", content=b"x", headers=plain)).text == "1"


async def test_get_is_not_read(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/sessions")).text == "0"
