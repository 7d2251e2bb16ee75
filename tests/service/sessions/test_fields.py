import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.tokens import TokenCounts
from service.errors import BadRequest, CorruptRecord
from service.events import Event
from service.sessions.fields import (
    check_cursor,
    decode_event,
    decode_rule,
    decode_rule_state,
    decode_session,
    decode_source,
    decode_turn,
    encode_event,
    encode_rule,
    encode_rule_state,
    encode_session,
    encode_source,
    encode_turn,
)
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

SID = SessionId("s1")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.builds(TokenCounts, st.integers(0, 10**9), st.integers(0, 10**9))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SESSIONS = st.builds(
    Session,
    id=st.just(SID),
    config=st.builds(SessionConfig, TEXT, metadata=st.dictionaries(TEXT, TEXT, max_size=3)),
    status=st.sampled_from(SessionStatus),
    created_at_s=FINITE,
    started_at_s=st.none() | FINITE,
    ended_at_s=st.none() | FINITE,
    end_reason=st.none() | TEXT,
    last_index=st.integers(-1, 10**6),
    num_chunks=st.integers(0, 10**6),
    counts_in=COUNTS,
    counts_kept=COUNTS,
    lag_s=st.none() | FINITE,
    owners=st.just({}),
)
MANNER = Manner(0.5, 0.9, 3, (".", "!"), 4.0, None, 8.0, 3)
TURN = Turn("q1", "¿Qué?", "A cat.\n", 0.1, 4.0, "stop", None, 0.5, 30, 3, MANNER)


def stored(session: Session, **extra: str) -> dict[bytes, bytes]:
    """The hash as Redis returns it."""
    return {k.encode(): v.encode() for k, v in (encode_session(session) | extra).items()}


@given(SESSIONS)
def test_session_comes_back(session: Session) -> None:
    assert decode_session(SID, stored(session), now_ms=0) == session


def test_owners_are_those_whose_lease_has_not_expired() -> None:
    session = Session(SID, SessionConfig("live"), SessionStatus.LIVE, 1.0)
    leases = {
        "compressor.owner": "a",
        "compressor.expires_ms": "1000",
        "llm.owner": "b",
        "llm.expires_ms": "1001",
    }

    found = decode_session(SID, stored(session, **leases), now_ms=1000)

    assert found == replace(session, owners={Stage.LLM: "b"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "asleep"),
        ("last_index", "x"),
        ("created_at_s", ""),
        ("config", "{"),
        ("config", '{"colour": 1}'),
        ("config", "[]"),
    ],
)
def test_wrong_session_field_is_noticed(name: str, value: str) -> None:
    session = Session(SID, SessionConfig("live"), SessionStatus.LIVE, 1.0)

    with pytest.raises(CorruptRecord, match="s1"):
        decode_session(SID, stored(session, **{name: value}), now_ms=0)


def test_missing_session_field_is_noticed() -> None:
    with pytest.raises(CorruptRecord, match="config"):
        decode_session(SID, {b"status": b"live"}, now_ms=0)


def test_turn_comes_back_and_gives_the_same_bytes() -> None:
    assert decode_turn(encode_turn(TURN)) == TURN
    assert encode_turn(decode_turn(encode_turn(TURN))) == encode_turn(TURN)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"id": "q"}', b"\xff", b"3"])
def test_wrong_turn_is_noticed(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match="turn"):
        decode_turn(data)


def test_event_comes_back() -> None:
    event = Event("chunk", SID, 1.5, {"index": 3, "kept": {"video": [[1, 2], []]}, "lag_s": None})

    assert decode_event(SID, encode_event(event)) == event


def test_event_that_browsers_cannot_parse_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_event(Event("chunk", SID, 1.5, {"lag_s": float("nan")}))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"type": "chunk"}', b"\xff"])
def test_wrong_event_is_noticed(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match="event"):
        decode_event(SID, data)


def test_rule_that_is_no_json_is_corrupt() -> None:
    with pytest.raises(CorruptRecord, match="rule"):
        decode_rule(b"{}")


@pytest.mark.parametrize("cursor", ["0", "17-3", f"{2**64 - 1}-0"])
def test_cursor_is_accepted(cursor: str) -> None:
    check_cursor(cursor)


@pytest.mark.parametrize("cursor", ["", "x", "1-", "-1", "1-2-3", f"{2**64}", "\u0661", "+1", " 1"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest, match="is not a cursor of this feed"):
        check_cursor(cursor)


@pytest.mark.parametrize("url", [None, "rtsp://user:p%20ss@camera/live?a=b"])
def test_source_comes_back(url: str | None) -> None:
    source = KeptSource("src_1", url, "fast", skip_s=4.0, from_index=7)

    assert decode_source(encode_source(source)) == source


def test_damaged_source_is_corrupt_and_keeps_its_password() -> None:
    for data in (b'{"url": "rtsp://user:secret@camera"}', b"secret", b"[]"):
        with pytest.raises(CorruptRecord) as raised:
            decode_source(data)
        assert "secret" not in str(raised.value)


def newer(data: bytes) -> bytes:
    """The same as a version would write that has a field more."""
    return json.dumps({**json.loads(data), "mood": "good"}).encode()


def test_a_turn_that_another_version_stored_is_read() -> None:
    stored = json.loads(encode_turn(TURN))
    longer = {**stored, "manner": {**stored["manner"], "voice": "low"}}
    del stored["manner"]

    assert decode_turn(json.dumps(stored).encode()) == replace(TURN, manner=None)
    assert decode_turn(newer(json.dumps(longer).encode())) == TURN


def test_what_a_newer_version_stored_is_read() -> None:
    session = Session(SID, SessionConfig("live"), SessionStatus.LIVE, 1.0)
    config = newer(stored(session)[b"config"]).decode()
    rule = Rule("rule_1", "a beep is heard", 0.5, 10.0, 2.0, 1.0)
    source = KeptSource("src_1", None, "fast", skip_s=4.0, from_index=7)
    state = RuleState()

    assert decode_session(SID, stored(session, config=config), now_ms=0) == session
    assert decode_rule(newer(encode_rule(rule))) == rule
    assert decode_source(newer(encode_source(source))) == source
    assert decode_rule_state(newer(encode_rule_state(state))) == state


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b'"fired_s"', b"\xff"])
def test_a_rule_state_that_is_no_object_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match="rule state"):
        decode_rule_state(data)
