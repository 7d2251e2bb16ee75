import itertools

import pytest

from service.sessions.record import SessionStatus
from service.sessions.state import TRANSITIONS, can_move, sources

LIFE = ["created", "connecting", "live", "idle", "live", "idle", "ended"]


def test_the_usual_life_is_allowed() -> None:
    steps = [SessionStatus(name) for name in LIFE]

    assert all(can_move(a, b) for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize("current", [s for s in SessionStatus if s is not SessionStatus.ENDED])
def test_an_open_session_may_end_or_stay(current: SessionStatus) -> None:
    assert can_move(current, SessionStatus.ENDED)
    assert can_move(current, current)


@pytest.mark.parametrize("target", SessionStatus)
def test_an_ended_session_moves_no_more(target: SessionStatus) -> None:
    assert not can_move(SessionStatus.ENDED, target)


def test_media_needs_a_publisher_first() -> None:
    assert not can_move(SessionStatus.CREATED, SessionStatus.LIVE)
    assert not can_move(SessionStatus.CREATED, SessionStatus.IDLE)


@pytest.mark.parametrize("current", ["connecting", "live", "idle"])
def test_a_publisher_may_come_back(current: str) -> None:
    assert can_move(SessionStatus(current), SessionStatus.CONNECTING)


def test_nothing_returns_to_created() -> None:
    assert sources(SessionStatus.CREATED) == (SessionStatus.CREATED,)


@pytest.mark.parametrize("target", SessionStatus)
def test_sources_are_the_states_that_can_move(target: SessionStatus) -> None:
    assert sources(target) == tuple(s for s in SessionStatus if can_move(s, target))


def test_every_state_has_its_transitions() -> None:
    assert TRANSITIONS.keys() == set(SessionStatus)
