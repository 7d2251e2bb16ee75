import json
from contextlib import aclosing

import httpx

from clients.sdk import AsyncClient
from clients.sdk.events import ChunkEvent
from service.api.app import ApiConfig, create_app
from service.api.watchers import WatchersConfig
from service.events import Event
from tests.eventually import eventually
from tests.local import fake_backend, served
from tests.service.api.conftest import Streamer


async def test_feed_replays_goes_on_live_and_ends_with_the_session(
    client: AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()
    kinds = []

    async with aclosing(client.events(session_id)) as feed:
        async for event in feed:
            kinds.append(event.type)
            if event.type == "session.idle":
                await client.end_session(session_id)

    assert kinds[0] == "session.created"
    assert kinds.count("chunk") == 2
    assert kinds[-1] == "session.ended"


async def test_chunk_event_names_the_kept_tokens(client: AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session()
    await client.end_session(session_id)

    async with aclosing(client.events(session_id)) as feed:
        chunks = [event async for event in feed if isinstance(event, ChunkEvent)]

    assert chunks
    for chunk in chunks:
        assert sum(len(grid) for grid in chunk.kept.video) == chunk.tokens.video.kept
        assert len(chunk.kept.audio) == chunk.tokens.audio.kept
        rows, columns = chunk.grid_sizes[0]
        assert max(chunk.kept.video[0]) < rows * columns
        assert set(chunk.stages_s) == {"encode", "compress", "prefill"}


async def test_feed_of_a_session_that_is_over_ends_at_once(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    session = await client.create_session()
    await client.end_session(session.id)

    answer = await http.get(f"/v1/sessions/{session.id}/events?replay=false")

    assert parse(answer.text) == []


async def test_wrong_cursor_is_told_before_the_stream_begins(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    session = await client.create_session()
    path = f"/v1/sessions/{session.id}/events"

    answer = await http.get(path, headers={"Last-Event-ID": "yesterday"})

    assert answer.status_code == 400
    assert "'yesterday' is not a cursor" in answer.json()["error"]["message"]


async def test_reconnecting_client_resumes_after_its_cursor(
    http: httpx.AsyncClient, client: AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()
    await client.end_session(session_id)
    path = f"/v1/sessions/{session_id}/events"
    whole = parse((await http.get(path)).text)
    cursor = whole[2][0]

    rest = parse((await http.get(path, headers={"Last-Event-ID": cursor})).text)

    assert rest == whole[3:]


async def test_without_replay_only_news_come(
    http: httpx.AsyncClient, client: AsyncClient, streamer: Streamer
) -> None:
    session_id = await streamer.session()
    async with http.stream("GET", f"/v1/sessions/{session_id}/events?replay=false") as response:
        # its head has come, so that it is known what is news
        await client.end_session(session_id)
        told = await response.aread()

    assert [kind for _, kind, _ in parse(told.decode())] == ["session.ended"]


async def test_quiet_feed_is_kept_alive(http: httpx.AsyncClient, client: AsyncClient) -> None:
    session = await client.create_session()

    async with http.stream("GET", f"/v1/sessions/{session.id}/events?replay=false") as response:
        lines = response.aiter_lines()
        comments = [line async for line in _first(lines, 3)]

    assert ": keep-alive" in comments


async def test_too_many_watchers_are_told_when_to_come_back(
    http: httpx.AsyncClient, client: AsyncClient
) -> None:
    session = await client.create_session()
    path = f"/v1/sessions/{session.id}/events"

    async with http.stream("GET", path), http.stream("GET", path):
        refused = await http.get(path)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "at_capacity"
    assert "Retry-After" in refused.headers

    async def is_admitted() -> bool:
        async with http.stream("GET", path) as response:
            return response.status_code == 200

    await eventually(is_admitted)


async def test_stream_ends_after_so_many_bytes_and_its_watcher_misses_nothing(
    redis_url: str,
) -> None:
    config = ApiConfig(watchers=WatchersConfig(max_stream_bytes=4096))
    async with (
        fake_backend(redis_url) as backend,
        served(create_app(backend, config)) as url,
        AsyncClient(url) as client,
        httpx.AsyncClient(base_url=url, timeout=10.0) as http,
    ):
        session = await client.create_session()
        for number in range(40):
            dropped = Event("dropped", session.id, 1.0, {"index": number, "reason": "x" * 100})
            await backend.store.publish(dropped)
        await client.end_session(session.id)

        first = await http.get(f"/v1/sessions/{session.id}/events")
        seen = [event async for event in client.events(session.id)]

    assert 4096 <= len(first.content) < 4096 + 512
    assert [event.type for event in seen].count("dropped") == 40


def parse(text: str) -> list[tuple[str, str, dict[str, object]]]:
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[:1] not in ":")
        if "data" in fields:
            events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


async def _first(lines, number):  # type: ignore[no-untyped-def]
    for _ in range(number):
        yield await anext(lines)
