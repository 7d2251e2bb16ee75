import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clients.sdk import (
    Answer,
    BadRequest,
    ChunkEvent,
    Client,
    Conflict,
    ConnectionFailed,
    NotFound,
    Overloaded,
    SourceUnavailable,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from clients.sdk.backoff import Backoff
from clients.sdk.errors import OmniSiftError
from tests.clients import replays
from tests.clients.fake_service import Feed, RunningService
from tests.clients.flaky import Flaky, answered, cut, died, in_pieces

QUICK = Backoff(first_s=0.02, max_s=0.1, max_attempts=50)


@pytest.fixture
def client(service: RunningService) -> Iterator[Client]:
    with Client(service.url, backoff=QUICK) as client:
        yield client


@pytest.fixture
def feed(service: RunningService) -> Feed:
    """A session with two chunks."""
    feed = service.fake.create()
    service.fake.add_chunk(feed)
    service.fake.add_chunk(feed)
    return feed


def test_session_lives_from_create_to_end(client: Client) -> None:
    created = client.create_session(profile="speech", metadata={"place": "roof"})

    assert client.get_session(created.id) == created
    assert created.profile == "speech"
    assert [s.id for s in client.list_sessions()] == [created.id]
    client.end_session(created.id)
    assert client.get_session(created.id).has_ended


def test_token_of_a_session_is_made_and_stays_out_of_sight(client: Client, feed: Feed) -> None:
    token = client.mint_token("s0", scopes=["publish", "ask"], ttl_s=60)

    assert (token.token, token.session_id) == ("ost_s0", "s0")
    assert (token.scopes, token.expires_at_s) == (("publish", "ask"), 60)
    assert "ost_s0" not in repr(token)
    assert client.mint_token("s0").scopes == ("ask",)


def test_question_is_answered_and_remembered(client: Client, feed: Feed) -> None:
    answer = client.ask("s0", "what is seen ?", window_s=2.0, max_tokens=8)

    assert answer.answer == "a red circle"
    assert (answer.context_start_s, answer.context_end_s) == (2.0, 4.0)
    assert [turn.answer for turn in client.turns("s0")] == ["a red circle"]
    assert [chunk.index for chunk in client.timeline("s0").chunks] == [0, 1]
    assert client.thumbnail("s0", 1) == b"jpeg of 1"


def test_in_piecesanswer_comes_in_pieces(client: Client, feed: Feed) -> None:
    *text, answer = client.ask_stream("s0", "what is seen ?")

    assert text == ["a", " red", " circle"]
    assert isinstance(answer, Answer)
    assert answer.answer == "a red circle"


def test_files_are_asked_about(service: RunningService, client: Client, tmp_path: Path) -> None:
    for name in ("a.png", "b.mp4"):
        (tmp_path / name).write_bytes(b"content")
    files = [tmp_path / "a.png", tmp_path / "b.mp4"]

    whole = client.ask_about(files, "what ?", profile="full", max_tokens=8)
    *text, last = client.ask_about_stream(files, "what ?")

    assert (whole.answer, whole.usage.stream.video.kept) == ("a red circle", 15)
    assert (text, last) == (["a", " red", " circle"], whole)
    first, second = service.fake.bodies("POST", "/completions")
    content = first["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "video_url", "text"]
    assert (first["profile"], first["max_tokens"]) == ("full", 8)
    assert (second["stream"], second["messages"]) == (True, first["messages"])


def test_answer_about_files_that_breaks_off_raises_after_its_text(
    service: RunningService, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"content")
    service.fake.words = ("a", "<fail>")
    stream = client.ask_about_stream([tmp_path / "a.png"], "what ?")

    assert next(stream) == "a"
    with pytest.raises(OmniSiftError, match="the engine died"):
        next(stream)


def test_first_word_arrives_long_before_the_last(
    service: RunningService, client: Client, feed: Feed
) -> None:
    service.fake.word_gap_s = 0.3
    started_s = time.monotonic()

    stream = client.ask_stream("s0", "what is seen ?")
    next(stream)
    first_s = time.monotonic() - started_s
    stream.close()

    assert first_s < 0.3


@pytest.mark.parametrize(
    ("words", "expected"), [(("a", "<fail>"), Unavailable), (("a", "<break>"), ConnectionFailed)]
)
def test_answer_that_breaks_off_raises_after_its_text(
    service: RunningService,
    client: Client,
    feed: Feed,
    words: tuple[str, ...],
    expected: type[OmniSiftError],
) -> None:
    service.fake.words = words
    stream = client.ask_stream("s0", "what is seen ?")

    assert next(stream) == "a"
    with pytest.raises(expected):
        next(stream)


def test_errors_are_raised_by_what_to_do(service: RunningService, client: Client) -> None:
    session = client.create_session()

    with pytest.raises(NotFound, match="no session 'other'"):
        client.get_session("other")
    with pytest.raises(Conflict) as conflict:
        client.ask(session.id, "what ?")
    with pytest.raises(NotFound):
        list(client.ask_stream("other", "what ?"))
    with pytest.raises(BadRequest):
        client.create_session(video_keep_ratio=7)
    service.fake.refusals["POST", "/sessions"] = (503, "at_capacity", {"Retry-After": "4"})
    with pytest.raises(Overloaded) as overloaded:
        client.create_session()

    assert conflict.value.is_retryable
    assert overloaded.value.retry_after_s == 4


def test_key_opens_a_locked_service(service: RunningService) -> None:
    service.fake.api_key = "secret"

    with Client(service.url) as client, pytest.raises(Unauthorized):
        client.list_sessions()
    with Client(service.url, api_key="secret") as client:
        assert client.list_sessions() == ()


def test_service_that_is_not_there_is_said_to_be_so() -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1"),
    ):
        client.list_sessions()


def test_service_under_a_path_prefix_is_found() -> None:
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"data": []})

    with Client("http://h/omni/", transport=httpx.MockTransport(handle)) as client:
        client.list_sessions()

    assert seen == ["http://h/omni/v1/sessions"]


def test_wait_ends_with_the_first_chunk(service: RunningService, client: Client) -> None:
    feed = service.fake.create()
    timer = threading.Timer(0.3, service.fake.add_chunk, [feed])
    timer.start()

    session = client.wait_until_live("s0", timeout_s=5)

    timer.join()
    assert session.chunks == 1


def test_wait_gives_up_at_its_deadline_and_at_once_for_an_ended_session(
    service: RunningService, client: Client
) -> None:
    feed = service.fake.create()

    with pytest.raises(TimedOut, match=r"no media after 0\.1 s"):
        client.wait_until_live("s0", timeout_s=0.1)
    service.fake.set_status(feed, "ended")
    with pytest.raises(Conflict, match="has ended"):
        client.wait_until_live("s0", timeout_s=5)


def test_events_come_in_order_until_the_session_ends(
    service: RunningService, client: Client, feed: Feed
) -> None:
    service.fake.set_status(feed, "ended", reason="deleted")

    events = list(client.events("s0"))

    assert [e.type for e in events] == ["session.created", "chunk", "chunk", "session.ended"]
    assert isinstance(events[1], ChunkEvent)


def test_events_may_begin_now_or_after_a_cursor(
    service: RunningService, client: Client, feed: Feed
) -> None:
    fresh = client.events("s0", replay=False)
    timer = threading.Timer(0.2, service.fake.add_chunk, [feed])
    timer.start()
    first = next(fresh)
    fresh.close()
    timer.join()
    resumed = client.events("s0", after="1")

    assert isinstance(first, ChunkEvent)
    assert first.index == 2
    assert next(resumed).cursor == "2"
    resumed.close()


def test_connection_that_closes_again_and_again_loses_and_repeats_nothing(
    service: RunningService, client: Client
) -> None:
    service.fake.events_per_connection = 2
    feed = service.fake.create()
    for _ in range(7):
        service.fake.add_chunk(feed)
    service.fake.set_status(feed, "ended")
    lost = []

    events = list(client.events("s0", on_lost=lambda error, wait_s: lost.append((error, wait_s))))

    assert [e.cursor for e in events] == [str(n) for n in range(9)]
    assert len(lost) == 4
    assert all(error is None and wait_s < 0.1 for error, wait_s in lost)


def test_events_survive_a_restart_of_the_service(
    service: RunningService, client: Client, feed: Feed
) -> None:
    events = client.events("s0")
    seen = [next(events) for _ in range(3)]

    service.stop()
    service.fake.set_status(feed, "ended")
    threading.Timer(0.3, service.start).start()
    seen += events

    assert [e.cursor for e in seen] == ["0", "1", "2", "3"]


def test_events_of_an_unknown_session_are_an_error_at_once(client: Client) -> None:
    with pytest.raises(NotFound):
        next(client.events("other"))


def test_question_is_asked_once_more_where_a_part_was_away() -> None:
    service = Flaky([died, answered, died, in_pieces])

    with Client("http://h", transport=httpx.MockTransport(service)) as client:
        whole = client.ask("s0", "what ?")
        *text, streamed = list(client.ask_stream("s0", "what ?"))

    assert whole.answer == "a red circle"
    assert text == ["a", " red"]
    assert isinstance(streamed, Answer)
    assert not service.replies


def test_second_failure_of_a_question_is_raised() -> None:
    service = Flaky([died] * 4)

    with Client("http://h", transport=httpx.MockTransport(service)) as client:
        with pytest.raises(Unavailable):
            client.ask("s0", "what ?")
        with pytest.raises(Unavailable):
            list(client.ask_stream("s0", "what ?"))

    assert not service.replies


def test_answer_cut_after_a_token_is_not_asked_again() -> None:
    service = Flaky([cut])

    with Client("http://h", transport=httpx.MockTransport(service)) as client:
        stream = client.ask_stream("s0", "what ?")
        assert next(stream) == "a"
        with pytest.raises(Unavailable) as caught:
            next(stream)

    assert caught.value.code == "answer_interrupted"


def test_rules_come_and_go(client: Client, feed: Feed) -> None:
    rule = client.create_rule("s0", "Is it raining?", threshold=0.8)

    assert (rule.condition, rule.threshold, rule.cooldown_s) == ("Is it raining?", 0.8, 30.0)
    assert [one.id for one in client.list_rules("s0")] == [rule.id]
    client.delete_rule("s0", rule.id)
    assert client.list_rules("s0") == ()
    with pytest.raises(NotFound):
        client.delete_rule("s0", rule.id)


def test_model_is_told(client: Client) -> None:
    assert [(model.id, model.created_at_s) for model in client.models()] == [
        ("omnisift-tiny", 1000)
    ]


def test_sources_come_and_go(client: Client, feed: Feed) -> None:
    source = client.add_source("s0", "rtsp://camera/1")

    assert (source.url, source.speed, source.state) == ("rtsp://camera/1", "realtime", "connecting")
    assert not source.is_over
    assert client.list_sources("s0") == (source,)
    client.remove_source("s0", source.id)
    assert client.list_sources("s0") == ()
    with pytest.raises(NotFound):
        client.remove_source("s0", source.id)


def test_a_recording_is_sent_as_it_is(
    client: Client, service: RunningService, feed: Feed, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 2000
    (tmp_path / "clip.mp4").write_bytes(content)

    source = client.upload("s0", tmp_path / "clip.mp4")

    assert (source.url, source.speed) == (None, "fast")
    assert service.fake.uploads == [("video/mp4", content)]
    with pytest.raises(SourceUnavailable):
        client.upload("s0", tmp_path / "none.mp4")


def test_a_recording_comes_in_pieces(service: RunningService, client: Client, feed: Feed) -> None:
    pieces = list(client.record("s0", seconds=2.5))

    assert b"".join(pieces) == b"".join(service.fake.recording)


def test_a_recording_is_sent_and_what_comes_of_it_is_told(
    service: RunningService, client: Client, tmp_path: Path
) -> None:
    service.fake.replayed = (replays.SAME, replays.OTHER)
    path = tmp_path / "a.mkv"
    path.write_bytes(b"a recording")

    items = list(client.replay(path, anyway=True))

    assert [type(item).__name__ for item in items] == [
        "ReplayBegun",
        "ReplayedChunk",
        "ReplayedChunk",
        "ReplayReport",
    ]
    assert service.fake.uploads == [("video/x-matroska", b"a recording")]
    assert service.fake.anyway == [True]
