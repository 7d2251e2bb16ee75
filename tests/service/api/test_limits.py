import asyncio
import gzip
import json
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial

import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.access.caller import Caller
from service.api.limits import BodyLimit, BodyLimits

LIMITS = BodyLimits(json_bytes=100, sdp_bytes=1000, chat_bytes=2000, max_large=1, large_s=0.2)


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
    limited = BodyLimit(app, limits=LIMITS)
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
    response = await client.post("/v1/chat/completions", content=json.dumps({"x": "y" * 2000}))

    assert response.status_code == 413
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


async def test_chat_completion_may_bring_a_file(client: httpx.AsyncClient) -> None:
    fits = await client.post("/v1/chat/completions", content=b"x" * 2000)
    does_not = await client.post("/v1/chat/completions", content=b"x" * 2001)

    assert fits.text == "2000"
    assert does_not.status_code == 413
    assert "2000 bytes" in does_not.json()["error"]["message"]


async def test_large_bodies_beyond_the_places_are_told_to_come_back() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> PlainTextResponse:
        if len(await request.body()) > LIMITS.json_bytes:
            entered.set()
            await leave.wait()
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/v1/chat/completions", wait, methods=["POST"])])
    transport = httpx.ASGITransport(BodyLimit(app, limits=LIMITS))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        asyncio.TaskGroup() as group,
    ):
        ask = partial(client.post, "/v1/chat/completions")
        first = group.create_task(ask(content=b"x" * 500))
        await entered.wait()
        second = await ask(content=b"x" * 500)
        small = await ask(content=b"x" * 100)
        leave.set()
        assert (await first).text == "done"
        third = await ask(content=b"x" * 500)

    assert second.status_code == 503
    assert second.headers["Retry-After"] == "5"
    assert second.headers["Connection"] == "close"
    assert small.text == third.text == "done"


async def test_one_key_gets_half_of_the_places() -> None:
    entered, leave = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: Request) -> PlainTextResponse:
        entered.release()
        await leave.wait()
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/v1/chat/completions", wait, methods=["POST"])])
    limited = BodyLimit(app, limits=replace(LIMITS, max_large=4, large_s=20.0))

    async def by_key(scope: Scope, receive: Receive, send: Send) -> None:
        caller = Caller(Headers(scope=scope).get("x-key"), frozenset())
        await limited({**scope, "state": {"caller": caller}}, receive, send)

    transport = httpx.ASGITransport(by_key)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        asyncio.TaskGroup() as group,
    ):

        def ask(key_id: str) -> Coroutine[None, None, httpx.Response]:
            headers = {"X-Key": key_id}
            return client.post("/v1/chat/completions", content=b"x" * 500, headers=headers)

        for _ in range(2):
            group.create_task(ask("alice"))
            await entered.acquire()
        third = await ask("alice")
        other = group.create_task(ask("bob"))
        await entered.acquire()
        leave.set()

    assert (third.status_code, third.headers["Retry-After"]) == (429, "5")
    assert "2 large bodies" in third.json()["error"]["message"]
    assert other.result().text == "done"


async def test_large_body_that_does_not_arrive_gives_its_place_back(
    client: httpx.AsyncClient,
) -> None:
    async def stalled():  # type: ignore[no-untyped-def]
        yield b"x" * 500
        await asyncio.sleep(30)

    slow = await client.post("/v1/chat/completions", content=stalled())
    next_one = await client.post("/v1/chat/completions", content=b"x" * 500)

    assert slow.status_code == 504
    assert next_one.text == "500"
