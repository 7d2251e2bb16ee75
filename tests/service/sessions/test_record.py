import pickle
from dataclasses import replace

import pytest

from compressor.tokens import TokenCounts
from service.sessions.record import (
    KeptSource,
    Session,
    SessionConfig,
    SessionId,
    SessionStatus,
    Stage,
)


def test_new_session_has_nothing_yet() -> None:
    session = Session(SessionId("s"), SessionConfig("live"), SessionStatus.CREATED, 1.0)

    assert (session.last_index, session.num_chunks, session.lag_s) == (-1, 0, None)
    assert session.counts_in == session.counts_kept == TokenCounts(0, 0)
    assert session.owners == {}


@pytest.mark.parametrize("value", [*SessionStatus, *Stage])
def test_names_on_the_wire_are_the_values(value: SessionStatus | Stage) -> None:
    assert f"{value}" == value.value == value.name.lower()


def test_session_crosses_processes() -> None:
    session = Session(SessionId("s"), SessionConfig("live"), SessionStatus.LIVE, 1.0)

    assert pickle.loads(pickle.dumps(session)) == session


def test_source_tells_how_much_of_a_recording_was_played() -> None:
    unplaced = KeptSource("src_1", "file:///clip.mp4", "fast", skip_s=4.0)
    placed = replace(unplaced, from_index=10)

    assert unplaced.played_s(20) == 4.0
    assert [placed.played_s(last) for last in (-1, 9, 10, 12)] == [4.0, 4.0, 6.0, 10.0]
    assert "clip" not in repr(placed)
