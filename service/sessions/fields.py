"""Sessions, turns and events to Redis fields and back. Pure: knows the layout, not the server.

Floats are written as Python prints them, which reads back to the same value. Fields that this
version does not know are ignored: during an update old replicas read what new ones write.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from compressor.tokens import TokenCounts
from service.errors import BadRequest, CorruptRecord
from service.events import Event
from service.sessions.record import (
    KeptSource,
    Manner,
    Rule,
    RuleState,
    Session,
    SessionConfig,
    SessionId,
    SessionStatus,
    Stage,
    Turn,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_CURSOR: Final = 2**64 - 1


def encode_session(session: Session) -> dict[str, str]:
    """Fields of a new session's hash; what is None is absent, and leases are added by claims."""
    fields = {
        "config": json.dumps(asdict(session.config)),
        "status": session.status,
        "created_at_s": session.created_at_s,
        "started_at_s": session.started_at_s,
        "ended_at_s": session.ended_at_s,
        "end_reason": session.end_reason,
        "last_index": session.last_index,
        "num_chunks": session.num_chunks,
        "video_in": session.counts_in.video,
        "audio_in": session.counts_in.audio,
        "video_kept": session.counts_kept.video,
        "audio_kept": session.counts_kept.audio,
        "lag_s": session.lag_s,
        "key_id": session.key_id,
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


def decode_session(session_id: SessionId, fields: Mapping[bytes, bytes], *, now_ms: int) -> Session:
    """The session of a hash.

    Args:
        session_id: Whose hash it is.
        fields: The hash; fields that are not of the record are ignored.
        now_ms: The server's Unix time, which decides which leases have expired.

    Raises:
        CorruptRecord: If a field is missing or is not what `encode_session` writes.
    """
    text = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
    try:
        return Session(
            id=session_id,
            config=SessionConfig(**_known(SessionConfig, json.loads(text["config"]))),
            status=SessionStatus(text["status"]),
            created_at_s=float(text["created_at_s"]),
            started_at_s=_optional_float(text, "started_at_s"),
            ended_at_s=_optional_float(text, "ended_at_s"),
            end_reason=text.get("end_reason"),
            last_index=int(text["last_index"]),
            num_chunks=int(text["num_chunks"]),
            counts_in=TokenCounts(int(text["video_in"]), int(text["audio_in"])),
            counts_kept=TokenCounts(int(text["video_kept"]), int(text["audio_kept"])),
            lag_s=_optional_float(text, "lag_s"),
            owners=_owners(text, now_ms),
            key_id=text.get("key_id"),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise CorruptRecord(f"session {session_id!r}: {type(exc).__name__}: {exc}") from exc


def _optional_float(text: Mapping[str, str], name: str) -> float | None:
    return float(text[name]) if name in text else None


def _owners(text: Mapping[str, str], now_ms: int) -> dict[Stage, str]:
    return {
        stage: text[f"{stage}.owner"]
        for stage in Stage
        if f"{stage}.owner" in text and int(text[f"{stage}.expires_ms"]) > now_ms
    }


def encode_turn(turn: Turn) -> bytes:
    """A turn as JSON; the same turn gives the same bytes."""
    return json.dumps(asdict(turn), sort_keys=True).encode()


def decode_turn(data: bytes) -> Turn:
    """The turn of `encode_turn`'s bytes, of this version or another. Raises `CorruptRecord`."""
    try:
        known = _known(Turn, json.loads(data))
        if known.get("manner") is not None:
            manner = _known(Manner, known["manner"])
            known["manner"] = Manner(**manner | {"stop": tuple(manner.get("stop", ()))})
        return Turn(**known)
    except (TypeError, ValueError) as exc:
        raise CorruptRecord(f"turn: {type(exc).__name__}: {exc}") from exc


def _known(kind: type["DataclassInstance"], values: object) -> dict[str, Any]:
    """What this version knows of a record: a newer one may have written more."""
    if not isinstance(values, dict):
        raise TypeError(f"{kind.__name__} is an object, not {type(values).__name__}")
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def encode_rule(rule: Rule) -> bytes:
    """A rule as JSON."""
    return json.dumps(asdict(rule), sort_keys=True).encode()


def decode_rule(data: bytes) -> Rule:
    """The rule of `encode_rule`'s bytes. Raises `CorruptRecord`."""
    try:
        return Rule(**_known(Rule, json.loads(data)))
    except (TypeError, ValueError) as exc:
        raise CorruptRecord(f"rule: {type(exc).__name__}: {exc}") from exc


def encode_source(source: KeptSource) -> bytes:
    """A source as JSON."""
    return json.dumps(asdict(source), sort_keys=True).encode()


def decode_source(data: bytes) -> KeptSource:
    """The source of `encode_source`'s bytes. Raises `CorruptRecord`."""
    try:
        return KeptSource(**_known(KeptSource, json.loads(data)))
    except (TypeError, ValueError) as exc:
        # no more than the kind of error: the data holds passwords
        raise CorruptRecord(f"source: {type(exc).__name__}") from None


def encode_rule_state(state: RuleState) -> bytes:
    """Where a rule stands, as JSON."""
    return json.dumps(asdict(state), sort_keys=True).encode()


def decode_rule_state(data: bytes) -> RuleState:
    """The state of `encode_rule_state`'s bytes. Raises `CorruptRecord`."""
    try:
        return RuleState(**_known(RuleState, json.loads(data)))
    except (TypeError, ValueError) as exc:
        raise CorruptRecord(f"rule state: {type(exc).__name__}: {exc}") from exc


def encode_event(event: Event) -> bytes:
    """An event as JSON, without its session, whose feed it is in.

    Raises:
        ValueError: If a number is not finite: browsers cannot parse it.
    """
    fields = {"type": event.type, "at_s": event.at_s, "data": dict(event.data)}
    return json.dumps(fields, allow_nan=False).encode()


def decode_event(session_id: SessionId, data: bytes) -> Event:
    """The event of `encode_event`'s bytes. Raises `CorruptRecord`."""
    try:
        fields: dict[str, Any] = json.loads(data)
        # a newer replica may tell of types that this one does not know: they are passed on
        return Event(fields["type"], session_id, float(fields["at_s"]), dict(fields["data"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise CorruptRecord(f"event: {type(exc).__name__}: {exc}") from exc


def check_cursor(cursor: str) -> None:
    """Require a cursor of an event feed: two numbers of 64 bits, or the first of them.

    Raises:
        BadRequest: It is none.
    """
    numbers = cursor.split("-")
    are_decimal = all(number.isascii() and number.isdecimal() for number in numbers)
    if len(numbers) > 2 or not are_decimal or any(int(n) > MAX_CURSOR for n in numbers):
        raise BadRequest(f"{cursor[:64]!r} is not a cursor of this feed", field="Last-Event-ID")
