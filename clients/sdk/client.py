"""The blocking client. Knows only httpx and the values of `clients.sdk`."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from clients.sdk import calls
from clients.sdk.answers import AnswerStream, ask_again_after_s
from clients.sdk.attachments import AskedFile, file_parts
from clients.sdk.backoff import Backoff
from clients.sdk.calls import AskOptions, Call, RuleOptions, SessionOptions, Speed
from clients.sdk.completions import CompletionStream
from clients.sdk.errors import OmniSiftError, TimedOut
from clients.sdk.events import Event
from clients.sdk.feed import SILENCE_LIMIT_S, EventFeed
from clients.sdk.media_file import open_media_file
from clients.sdk.models import (
    Answer,
    FileAnswer,
    Model,
    Rule,
    Session,
    SessionSource,
    SessionToken,
    Timeline,
    Turn,
)
from clients.sdk.reader import EventReader
from clients.sdk.replays import SILENCE_LIMIT_S as REPLAY_SILENCE_LIMIT_S
from clients.sdk.replays import ReplayItem, ReplayStream
from clients.sdk.transport import (
    DEFAULT_URL,
    POLL_S,
    RECORDING_MARGIN_S,
    http_options,
    raise_for_status,
    reply_from,
    request_options,
    translated,
)

T = TypeVar("T")


class Client:
    """Talks to one service; safe to share between threads. Close it, or use it in a `with`.

    Every method raises an `OmniSiftError`: `ConnectionFailed`, `TimedOut`, `MalformedAnswer` or
    an `ApiError` such as `NotFound`; see `clients.sdk.errors`.

        >>> with Client("http://127.0.0.1:8000") as client:
        ...     session = client.create_session(profile="live")
        ...     # something publishes to it
        ...     live = client.wait_until_live(session.id)
        ...     print(client.ask(session.id, "What is seen?").answer)
        a red circle

    Args:
        base_url: Where the service is.
        api_key: Sent as a bearer token with every request.
        timeout_s: Longest wait for an answer, and between two parts of a streamed one.
        backoff: How `events` reconnects.
        transport: An httpx transport, for tests and proxies.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        backoff: Backoff | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url
        self._backoff = backoff or Backoff()
        options = http_options(base_url, api_key, timeout_s)
        self._http = httpx.Client(**options, transport=transport)

    def create_session(self, **options: Unpack[SessionOptions]) -> Session:
        """Open a session, to publish to and to ask about."""
        return self.send(calls.create_session(options))

    def get_session(self, session_id: str) -> Session:
        """A session's record: status, tokens in and kept, lag."""
        return self.send(calls.get_session(session_id))

    def list_sessions(self) -> tuple[Session, ...]:
        """The sessions this key may see, newest first."""
        return self.send(calls.list_sessions())

    def end_session(self, session_id: str) -> None:
        """End a session: its publisher is disconnected and its context is freed."""
        self.send(calls.end_session(session_id))

    def mint_token(
        self,
        session_id: str,
        *,
        scopes: Sequence[str] | None = None,
        ttl_s: float | None = None,
    ) -> SessionToken:
        """Make a token that opens this session only, for `ttl_s` seconds.

        Args:
            session_id: Which session; it is this key's.
            scopes: Of "publish" and "ask", those of the key at most; None: to ask.
            ttl_s: Its life; None: an hour.

        Raises:
            Forbidden: The key lacks a scope, or is itself a token.
        """
        return self.send(calls.mint_token(session_id, scopes, ttl_s))

    def models(self) -> tuple[Model, ...]:
        """The models that answer: a service runs one.

        >>> [model.id for model in client.models()]
        ['omnisift-tiny']
        """
        return self.send(calls.models())

    def timeline(self, session_id: str) -> Timeline:
        """The chunks in the log and what of them is in context now; questions about them."""
        return self.send(calls.timeline(session_id))

    def create_rule(self, session_id: str, condition: str, **options: Unpack[RuleOptions]) -> Rule:
        """Watch for a condition; a `RuleEvent` tells when it comes to hold.

        >>> rule = client.create_rule(session.id, "Did you hear a beep?", cooldown_s=60)
        >>> [rule.condition for rule in client.list_rules(session.id)]
        ['Did you hear a beep?']
        >>> client.delete_rule(session.id, rule.id)
        """
        return self.send(calls.create_rule(session_id, condition, options))

    def list_rules(self, session_id: str) -> tuple[Rule, ...]:
        """What the session is watched for, oldest first."""
        return self.send(calls.list_rules(session_id))

    def delete_rule(self, session_id: str, rule_id: str) -> None:
        """Watch for a condition no longer. Raises `NotFound` if nobody does."""
        self.send(calls.delete_rule(session_id, rule_id))

    def add_source(self, session_id: str, url: str, *, speed: Speed = "realtime") -> SessionSource:
        """Let the service fetch media; a `SourceEvent` tells how it fares.

        Args:
            session_id: To publish to.
            url: `rtsp`, `rtsps`, `http`, `https` or `file`, as the service allows.
            speed: Of a media file.

        Raises:
            BadRequest: The service does not allow it (code `url_refused`).
            Conflict: Somebody publishes already.
        """
        return self.send(calls.add_source(session_id, url, speed))

    def list_sources(self, session_id: str) -> tuple[SessionSource, ...]:
        """What the service fetches and fetched for the session, oldest first."""
        return self.send(calls.list_sources(session_id))

    def remove_source(self, session_id: str, source_id: str) -> None:
        """Stop fetching a source. Raises `NotFound` if there is none."""
        self.send(calls.remove_source(session_id, source_id))

    def upload(self, session_id: str, path: str | Path, *, speed: Speed = "fast") -> SessionSource:
        """Send a media file; returns once the service has it and plays it.

        Raises:
            SourceUnavailable: The file cannot be read.
            BadRequest: The service cannot play it, or it is too large.
            Conflict: Somebody publishes already.
        """
        with open_media_file(path) as file:
            call = calls.upload(
                session_id,
                file.blocks(),
                content_type=file.content_type,
                size=file.size,
                speed=speed,
            )
            return self.send(call)

    def record(self, session_id: str, *, seconds: float = 60.0) -> Generator[bytes, None, None]:
        """Record a session from now on; yields the pieces of a Matroska file as they are made.

        Begin before anybody publishes, so that a `replay` can be the same to the last token.
        Closing the generator ends the recording.

        Raises:
            Forbidden: A token's holder may not, or this service makes no recordings.
            Overloaded: The session is being recorded, or too many others are.
            Conflict: It has ended.
        """
        call = calls.record(session_id, seconds)
        with self._stream(call, silence_limit_s=seconds + RECORDING_MARGIN_S) as response:
            yield from response.iter_bytes()

    def replay(
        self, path: str | Path, *, anyway: bool = False
    ) -> Generator[ReplayItem, None, None]:
        """Replay a recording of `record` in a session of its own, and compare.

        Yields a `ReplayBegun`, then what comes of each chunk and of each question, and at last
        the `ReplayReport`. Closing the generator ends the replay; the session stays.

        Args:
            path: The file.
            anyway: Also if another version or another model recorded it.

        Raises:
            SourceUnavailable: The file cannot be read.
            BadRequest: It is no recording, was cut short, is too large, or was cut otherwise
                than this service cuts.
            Conflict: Another version or model recorded it; the message says which.
        """
        stream = ReplayStream()
        with open_media_file(path) as file:
            call = calls.replay(
                file.blocks(), content_type=file.content_type, size=file.size, anyway=anyway
            )
            with self._stream(call, silence_limit_s=REPLAY_SILENCE_LIMIT_S) as response:
                for data in response.iter_bytes():
                    yield from stream.feed(data)
        stream.close()

    def thumbnail(self, session_id: str, index: int) -> bytes:
        """The small JPEG of a chunk, at most 160 px wide. Raises `NotFound` if it has none."""
        return self.send(calls.thumbnail(session_id, index))

    def turns(self, session_id: str) -> tuple[Turn, ...]:
        """What was asked and answered so far, oldest first."""
        return self.send(calls.turns(session_id))

    def wait_until_live(self, session_id: str, *, timeout_s: float = 30.0) -> Session:
        """Wait until the first chunk of the stream is in the context.

        Raises:
            TimedOut: It was not, after `timeout_s`.
            Conflict: The session has ended.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            session = self.get_session(session_id)
            if calls.check_answerable(session):
                return session
            if time.monotonic() >= deadline_s:
                raise TimedOut(f"session {session_id!r} has no media after {timeout_s:g} s")
            time.sleep(POLL_S)

    def ask(self, session_id: str, question: str, **options: Unpack[AskOptions]) -> Answer:
        """Ask about the stream so far and wait for the whole answer.

        Asked once more where a part of the service was away, so that `turns` may show it twice.
        """
        return self._ask(calls.ask(session_id, question, options))

    def ask_stream(
        self, session_id: str, question: str, **options: Unpack[AskOptions]
    ) -> Generator[str | Answer, None, None]:
        """Ask, and yield the answer's text as it is generated, then the `Answer`.

        Asked once more where a part of the service was away and no text had come; an answer cut
        after that raises `Unavailable` with code `answer_interrupted`. Closing the generator
        cancels the question.

            >>> *pieces, answer = client.ask_stream(session.id, "What is seen?")
            >>> "".join(pieces) == answer.answer
            True
        """
        call = calls.ask_stream(session_id, question, options)
        yield from self._pieces(call, AnswerStream)

    def ask_about(
        self, files: Sequence[AskedFile], question: str, **options: Unpack[calls.FileOptions]
    ) -> FileAnswer:
        """Ask about files, up to 16, and wait for the whole answer; nothing of them is kept.

            >>> answer = client.ask_about([photo], "What shape is it?")
            >>> answer.answer
            'a red circle'

        Args:
            files: Paths, or URLs that the service may fetch, in the order in which the model is
                shown them; `("video", path)` and the like where the name does not tell.
            question: About all of them.
        """
        parts = file_parts(files)
        return self._ask(calls.ask_about(parts, question, options))

    def ask_about_stream(
        self, files: Sequence[AskedFile], question: str, **options: Unpack[calls.FileOptions]
    ) -> Generator[str | FileAnswer, None, None]:
        """As `ask_about`; yields the text as it is generated, then the `FileAnswer`."""
        parts = file_parts(files)
        call = calls.ask_about_stream(parts, question, options)
        yield from self._pieces(call, CompletionStream)

    def events(
        self,
        session_id: str,
        *,
        after: str | None = None,
        replay: bool = True,
        on_lost: Callable[[OmniSiftError | None, float], None] | None = None,
    ) -> Generator[Event, None, None]:
        """Yield the session's events until it ends, reconnecting where a connection is lost.

        Args:
            session_id: Which session.
            after: Cursor of the last event seen; begin after it.
            replay: Without `after`: begin with the oldest event kept, rather than with the next.
            on_lost: Told of every lost connection: its error (None for a clean close) and the
                seconds until the next attempt.
        """
        feed = EventFeed(session_id, after=after, replay=replay, backoff=self._backoff)
        while not feed.is_over:
            failure = None
            try:
                with self._stream(feed.call(), silence_limit_s=SILENCE_LIMIT_S) as response:
                    feed.connected()
                    for data in response.iter_bytes():
                        yield from feed.receive(data)
                        if feed.is_over:
                            return
            except OmniSiftError as exc:
                failure = exc
            wait_s = feed.wait_s(failure)
            if on_lost is not None:
                on_lost(failure, wait_s)
            time.sleep(wait_s)

    def send(self, call: Call[T]) -> T:
        """Send a request made by `clients.sdk.calls` and read its answer."""
        with translated(self.base_url):
            response = self._http.request(**request_options(call))
        return call.read(reply_from(response))

    def _ask(self, call: Call[T]) -> T:
        """Send a question, once more where a part of the service was away."""
        try:
            return self.send(call)
        except OmniSiftError as exc:
            wait_s = ask_again_after_s(exc)
            if wait_s is None:
                raise
        time.sleep(wait_s)
        return self.send(call)

    def _pieces(
        self, call: Call[None], read: Callable[[], EventReader[str | T]]
    ) -> Generator[str | T, None, None]:
        """Stream an answer, once more where a part was away and nothing of it had come."""
        for is_last in (False, True):
            answer = read()
            try:
                with self._stream(call) as response:
                    for data in response.iter_bytes():
                        yield from answer.feed(data)
                answer.close()
                return
            except OmniSiftError as exc:
                wait_s = None if is_last or answer.has_begun else ask_again_after_s(exc)
                if wait_s is None:
                    raise
            time.sleep(wait_s)

    @contextmanager
    def _stream(
        self, call: Call[Any], *, silence_limit_s: float | None = None
    ) -> Iterator[httpx.Response]:
        options = request_options(call, silence_limit_s)
        with translated(self.base_url), self._http.stream(**options) as response:
            if not response.is_success:
                response.read()
                raise_for_status(response)
            yield response

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
