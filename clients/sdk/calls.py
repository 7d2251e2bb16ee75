"""Requests as values: what to send, and how to read what comes back. Knows nothing about httpx.

Both clients send these, so that no request is built, and no answer read, in two places.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from clients.sdk.codec import decode
from clients.sdk.completions import completion_body, read_completion
from clients.sdk.errors import Conflict, MalformedAnswer, error_from_response
from clients.sdk.models import (
    Answer,
    FileAnswer,
    Model,
    ModelList,
    Rule,
    RuleList,
    Session,
    SessionList,
    SessionSource,
    SessionToken,
    SourceList,
    Timeline,
    Turn,
    TurnList,
)

T = TypeVar("T")
EVENT_STREAM = "text/event-stream"
Speed = Literal["realtime", "fast"]


class SessionOptions(TypedDict, total=False):
    """What the creator of a session may choose; None leaves the choice to the service."""

    profile: str | None
    video_keep_ratio: float | None
    audio_keep_ratio: float | None
    instructions: str | None
    metadata: Mapping[str, str] | None


class RuleOptions(TypedDict, total=False):
    """When a watch rule fires and who is told; None leaves the choice to the service."""

    threshold: float | None
    cooldown_s: float | None
    min_interval_s: float | None
    webhook_url: str | None


class AskOptions(TypedDict, total=False):
    """How to answer; None leaves the choice to the service.

    `window_s` limits the answer to the last so many seconds of stream; `at_s` asks as of that
    stream time, where the window then ends.
    """

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int | None
    stop: list[str] | None
    window_s: float | None
    at_s: float | None


class FileOptions(AskOptions, total=False):
    """How to answer about files; `profile` names their compression."""

    profile: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read to its end. Header names are lower-case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request and how to read its answer.

    Attributes:
        path: Relative to the service's URL, or an absolute URL.
        parse: Reads the answer of a request that succeeded.
        body: Content, whole or in blocks; its type is in `headers`.
    """

    method: str
    path: str
    parse: Callable[[Reply], T]
    body: bytes | Iterator[bytes] | AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def read(self, reply: Reply) -> T:
        """Return the answer.

        Raises:
            ApiError: The service said no.
            MalformedAnswer: The answer is not of the expected form.
        """
        if reply.status >= 300:
            raise error_from_response(reply.status, reply.headers, reply.body)
        return self.parse(reply)


def create_session(options: SessionOptions) -> Call[Session]:
    return _post("v1/sessions", options, _json_as(Session))


def get_session(session_id: str) -> Call[Session]:
    return Call("GET", session_path(session_id), _json_as(Session))


def list_sessions() -> Call[tuple[Session, ...]]:
    read = _json_as(SessionList)
    return Call("GET", "v1/sessions", lambda reply: read(reply).data)


def end_session(session_id: str) -> Call[None]:
    return Call("DELETE", session_path(session_id), no_answer)


def timeline(session_id: str) -> Call[Timeline]:
    return Call("GET", f"{session_path(session_id)}/timeline", _json_as(Timeline))


def record(session_id: str, seconds: float) -> Call[None]:
    """Its answer comes in pieces."""
    return Call("GET", f"{session_path(session_id)}/recording?seconds={seconds:g}", no_answer)


def thumbnail(session_id: str, index: int) -> Call[bytes]:
    path = f"{session_path(session_id)}/chunks/{index}/thumbnail"
    return Call("GET", path, lambda reply: reply.body)


def turns(session_id: str) -> Call[tuple[Turn, ...]]:
    read = _json_as(TurnList)
    return Call("GET", f"{session_path(session_id)}/turns", lambda reply: read(reply).data)


def create_rule(session_id: str, condition: str, options: RuleOptions) -> Call[Rule]:
    return _post(_rules(session_id), {"condition": condition, **options}, _json_as(Rule))


def list_rules(session_id: str) -> Call[tuple[Rule, ...]]:
    read = _json_as(RuleList)
    return Call("GET", _rules(session_id), lambda reply: read(reply).data)


def delete_rule(session_id: str, rule_id: str) -> Call[None]:
    return Call("DELETE", f"{_rules(session_id)}/{quote(rule_id, safe='')}", no_answer)


def add_source(session_id: str, url: str, speed: str) -> Call[SessionSource]:
    return _post(_sources(session_id), {"url": url, "speed": speed}, _json_as(SessionSource))


def list_sources(session_id: str) -> Call[tuple[SessionSource, ...]]:
    read = _json_as(SourceList)
    return Call("GET", _sources(session_id), lambda reply: read(reply).data)


def remove_source(session_id: str, source_id: str) -> Call[None]:
    return Call("DELETE", f"{_sources(session_id)}/{quote(source_id, safe='')}", no_answer)


def upload(
    session_id: str,
    body: Iterator[bytes] | AsyncIterator[bytes],
    *,
    content_type: str,
    size: int,
    speed: str,
) -> Call[SessionSource]:
    path = f"{session_path(session_id)}/media?speed={quote(speed)}"
    headers = {"content-type": content_type, "content-length": str(size)}
    return Call("PUT", path, _json_as(SessionSource), body, headers)


def replay(
    body: Iterator[bytes] | AsyncIterator[bytes], *, content_type: str, size: int, anyway: bool
) -> Call[None]:
    """Its answer is for `clients.sdk.replays.ReplayStream`."""
    headers = {"content-type": content_type, "content-length": str(size), "accept": EVENT_STREAM}
    return Call("POST", f"v1/replays?anyway={int(anyway)}", no_answer, body, headers)


def _sources(session_id: str) -> str:
    return f"{session_path(session_id)}/sources"


def _rules(session_id: str) -> str:
    return f"{session_path(session_id)}/rules"


def mint_token(
    session_id: str, scopes: Sequence[str] | None, ttl_s: float | None
) -> Call[SessionToken]:
    body = {"scopes": None if scopes is None else list(scopes), "ttl_s": ttl_s}
    return _post(f"{session_path(session_id)}/tokens", body, _json_as(SessionToken))


def models() -> Call[tuple[Model, ...]]:
    read = _json_as(ModelList)
    return Call("GET", "v1/models", lambda reply: read(reply).data)


def ask(session_id: str, question: str, options: AskOptions) -> Call[Answer]:
    body = {"question": question, **options}
    return _post(f"{session_path(session_id)}/query", body, _json_as(Answer))


def ask_stream(session_id: str, question: str, options: AskOptions) -> Call[None]:
    """The streaming form of `ask`; its answer is for `clients.sdk.answers.AnswerStream`."""
    body = {"question": question, **options, "stream": True}
    return _post(f"{session_path(session_id)}/query", body, no_answer, accept=EVENT_STREAM)


def ask_about(
    parts: Sequence[Mapping[str, Any]], question: str, options: FileOptions
) -> Call[FileAnswer]:
    """A question about files; `parts` are those of `clients.sdk.attachments`."""
    body = completion_body(parts, question, options)
    return _post("v1/chat/completions", body, lambda reply: read_completion(_json(reply)))


def ask_about_stream(
    parts: Sequence[Mapping[str, Any]], question: str, options: FileOptions
) -> Call[None]:
    """The streaming form; its answer is for `clients.sdk.completions.CompletionStream`."""
    asked = {**options, "stream": True, "stream_options": {"include_usage": True}}
    body = completion_body(parts, question, asked)
    return _post("v1/chat/completions", body, no_answer, accept=EVENT_STREAM)


def events(session_id: str, *, after: str | None, replay: bool) -> Call[None]:
    """The event feed; its answer is for `clients.sdk.feed.EventFeed`.

    Args:
        session_id: Which session.
        after: Cursor of the last event seen; it wins over `replay`.
        replay: Begin with the oldest event that the service has kept.
    """
    path = f"{session_path(session_id)}/events"
    headers = {"accept": EVENT_STREAM, "cache-control": "no-store"}
    if after is not None:
        return Call("GET", path, no_answer, headers={**headers, "last-event-id": after})
    return Call("GET", f"{path}?replay={int(replay)}", no_answer, headers=headers)


def session_path(session_id: str) -> str:
    return f"v1/sessions/{quote(session_id, safe='')}"


def no_answer(_reply: Reply) -> None:
    return None


def check_answerable(session: Session) -> bool:
    """Tell whether the session can be asked about yet.

    Raises:
        Conflict: It has ended, so that it never will be.
    """
    if session.has_ended:
        reason = session.end_reason or "unknown reason"
        raise Conflict(f"session {session.id!r} has ended ({reason})", code="session_ended")
    return session.is_answerable


def _post(
    path: str, body: Mapping[str, Any], parse: Callable[[Reply], T], *, accept: str = "*/*"
) -> Call[T]:
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"content-type": "application/json", "accept": accept}
    return Call("POST", path, parse, json.dumps(given).encode(), headers)


def _json_as(kind: type[T]) -> Callable[[Reply], T]:
    return lambda reply: decode(kind, _json(reply))


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError as exc:
        raise MalformedAnswer(f"{reply.url} did not answer with JSON") from exc
