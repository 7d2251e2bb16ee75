import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from clients.sdk import (
    Answer,
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    NotFound,
    SourceUnavailable,
    TimedOut,
    Unavailable,
)
from clients.sdk.backoff import Backoff
from clients.sdk.errors import OmniSiftError
from tests.clients import replays
from tests.clients.fake_service import Feed, RunningService
from tests.clients.flaky import Flaky, answered, cut, died, in_pieces

QUICK = Backoff(first_s=0.02, max_s=0.1, max_attempts=50)


@pytest.fixture
async def client(service: RunningService) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(service.url, backoff=QUICK) as client:
        yield client


@pytest.fixture
def feed(service: RunningService) -> Feed:
    """A session with two chunks."""
    feed = service.fake.create()
    service.fake.add_chunk(feed)
    service.fake.add_chunk(feed)
    return feed


def test_twins_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        public = {n: m for n, m in inspect.getmembers(kind, callable) if not n.startswith("_")}
        return {
            name.removeprefix("a"): list(inspect.signature(method).parameters)
            for name, method in public.items()
            if name not in ("ask", "ask_stream")
        } | {n: list(inspect.signature(public[n]).parameters) for n in ("ask", "ask_stream")}

    assert methods(Client) == methods(AsyncClient)


async def test_session_lives_from_create_to_end(client: AsyncClient) -> None:
    created = await client.create_session(profile="speech")

    assert await client.get_session(created.id) == created
    assert [s.id for s in await client.list_sessions()] == [created.id]
    await client.end_session(created.id)
    assert (await client.get_session(created.id)).has_ended


async def test_question_is_answered_and_remembered(client: AsyncClient, feed: Feed) -> None:
    answer = await client.ask("s0", "what is seen ?", window_s=2.0)

    assert answer.answer == "a red circle"
    assert [turn.answer for turn in await client.turns("s0")] == ["a red circle"]
    assert [chunk.index for chunk in (await client.timeline("s0")).chunks] == [0, 1]
    assert await client.thumbnail("s0", 1) == b"jpeg of 1"


async def test_in_piecesanswer_comes_in_pieces(client: AsyncClient, feed: Feed) -> None:
    *text, answer = [item async for item in client.ask_stream("s0", "what is seen ?")]

    assert text == ["a", " red", " circle"]
    assert isinstance(answer, Answer)


@pytest.mark.parametrize(
    ("words", "expected"), [(("a", "<fail>"), Unavailable), (("a", "<break>"), ConnectionFailed)]
)
async def test_answer_that_breaks_off_raises_after_its_text(
    service: RunningService,
    client: AsyncClient,
    feed: Feed,
    words: tuple[str, ...],
    expected: type[OmniSiftError],
) -> None:
    service.fake.words = words
    stream = client.ask_stream("s0", "what is seen ?")

    assert await anext(stream) == "a"
    with pytest.raises(expected):
        await anext(stream)


async def test_files_are_asked_about(client: AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"content")

    whole = await client.ask_about([tmp_path / "a.png"], "what ?")
    *text, last = [item async for item in client.ask_about_stream([tmp_path / "a.png"], "what ?")]

    assert whole.answer == "a red circle"
    assert (text, last) == (["a", " red", " circle"], whole)


async def test_many_questions_are_in_flight_at_once(
    service: RunningService, client: AsyncClient, feed: Feed
) -> None:
    service.fake.word_gap_s = 0.1
    started_s = time.monotonic()

    async def ask() -> list[object]:
        return [item async for item in client.ask_stream("s0", "what ?")]

    answers = await asyncio.gather(*(ask() for _ in range(8)))

    assert [len(items) for items in answers] == [4] * 8
    assert time.monotonic() - started_s < 8 * 0.3


async def test_errors_are_raised_by_what_to_do(client: AsyncClient) -> None:
    session = await client.create_session()

    with pytest.raises(NotFound, match="no session 'other'"):
        await client.get_session("other")
    with pytest.raises(Conflict):
        await client.ask(session.id, "what ?")
    with pytest.raises(NotFound):
        await anext(client.ask_stream("other", "what ?"))


async def test_wait_ends_with_the_first_chunk_or_at_its_deadline(
    service: RunningService, client: AsyncClient
) -> None:
    feed = service.fake.create()

    with pytest.raises(TimedOut):
        await client.wait_until_live("s0", timeout_s=0.1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(client.wait_until_live("s0", timeout_s=5))
        await asyncio.sleep(0.1)
        service.fake.add_chunk(feed)

    assert waiting.result().chunks == 1


async def test_events_survive_a_restart_of_the_service(
    service: RunningService, client: AsyncClient, feed: Feed
) -> None:
    lost = []
    events = client.events("s0", on_lost=lambda error, _wait_s: lost.append(error))
    seen = [await anext(events) for _ in range(3)]

    await asyncio.to_thread(service.stop)
    service.fake.set_status(feed, "ended")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(service.start))
        seen += [event async for event in events]

    assert [e.cursor for e in seen] == ["0", "1", "2", "3"]
    assert lost


async def test_closing_the_events_closes_their_connection(
    service: RunningService, client: AsyncClient, feed: Feed
) -> None:
    async with asyncio.timeout(5), aclosing(client.events("s0")) as events:
        assert (await anext(events)).type == "session.created"


async def test_question_is_asked_once_more_where_a_part_was_away() -> None:
    service = Flaky([died, answered, died, in_pieces])

    async with AsyncClient("http://h", transport=httpx.MockTransport(service)) as client:
        whole = await client.ask("s0", "what ?")
        *text, streamed = [item async for item in client.ask_stream("s0", "what ?")]

    assert whole.answer == "a red circle"
    assert text == ["a", " red"]
    assert isinstance(streamed, Answer)
    assert not service.replies


async def test_second_failure_of_a_question_is_raised() -> None:
    service = Flaky([died] * 4)

    async with AsyncClient("http://h", transport=httpx.MockTransport(service)) as client:
        with pytest.raises(Unavailable):
            await client.ask("s0", "what ?")
        with pytest.raises(Unavailable):
            [item async for item in client.ask_stream("s0", "what ?")]

    assert not service.replies


async def test_answer_cut_after_a_token_is_not_asked_again() -> None:
    service = Flaky([cut])

    async with AsyncClient("http://h", transport=httpx.MockTransport(service)) as client:
        stream = client.ask_stream("s0", "what ?")
        assert await anext(stream) == "a"
        with pytest.raises(Unavailable) as caught:
            await anext(stream)

    assert caught.value.code == "answer_interrupted"


async def test_rules_come_and_go(client: AsyncClient, feed: Feed) -> None:
    rule = await client.create_rule("s0", "Is it raining?", threshold=0.8)

    assert (rule.condition, rule.threshold, rule.cooldown_s) == ("Is it raining?", 0.8, 30.0)
    assert [one.id for one in await client.list_rules("s0")] == [rule.id]
    await client.delete_rule("s0", rule.id)
    assert await client.list_rules("s0") == ()
    with pytest.raises(NotFound):
        await client.delete_rule("s0", rule.id)


async def test_sources_come_and_go(client: AsyncClient, feed: Feed) -> None:
    source = await client.add_source("s0", "rtsp://camera/1")

    assert (source.url, source.speed, source.state) == ("rtsp://camera/1", "realtime", "connecting")
    assert not source.is_over
    assert await client.list_sources("s0") == (source,)
    await client.remove_source("s0", source.id)
    assert await client.list_sources("s0") == ()
    with pytest.raises(NotFound):
        await client.remove_source("s0", source.id)


async def test_a_recording_is_sent_as_it_is(
    client: AsyncClient, service: RunningService, feed: Feed, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 2000
    (tmp_path / "clip.mp4").write_bytes(content)

    source = await client.upload("s0", tmp_path / "clip.mp4")

    assert (source.url, source.speed) == (None, "fast")
    assert service.fake.uploads == [("video/mp4", content)]
    with pytest.raises(SourceUnavailable):
        await client.upload("s0", tmp_path / "none.mp4")


async def test_a_recording_comes_in_pieces(
    service: RunningService, client: AsyncClient, feed: Feed
) -> None:
    pieces = [piece async for piece in client.record("s0", seconds=2.5)]

    assert b"".join(pieces) == b"".join(service.fake.recording)


async def test_a_recording_is_sent_and_what_comes_of_it_is_told(
    service: RunningService, client: AsyncClient, tmp_path: Path
) -> None:
    service.fake.replayed = (replays.SAME, replays.OTHER)
    path = tmp_path / "a.mkv"
    path.write_bytes(b"a recording")

    items = [item async for item in client.replay(path, anyway=True)]

    assert [type(item).__name__ for item in items] == [
        "ReplayBegun",
        "ReplayedChunk",
        "ReplayedChunk",
        "ReplayReport",
    ]
    assert service.fake.uploads == [("video/x-matroska", b"a recording")]
    assert service.fake.anyway == [True]
