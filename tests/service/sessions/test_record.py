import pickle

import pytest

from compressor.tokens import TokenCounts
from service.sessions.record import Session, SessionConfig, SessionId, SessionStatus, Stage


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
