"""Which sessions are held, and which of them may give way."""

from service.llm.held import HeldSessions
from service.sessions.record import SessionId

A, B, C = (SessionId(name) for name in "abc")


def test_session_that_was_not_opened_is_forgotten_after_its_use() -> None:
    held = HeldSessions()

    with held.use(A, 1.0) as first, held.use(A, 1.0) as second:
        assert first is second
        assert first.num_users == 2

    with held.use(A, 2.0) as later:
        assert later is not first


def test_open_session_is_kept() -> None:
    held = HeldSessions()
    with held.use(A, 1.0) as session:
        session.is_open = True

    with held.use(A, 2.0) as later:
        assert later is session
    assert held.num_open == 1


def test_idle_sessions_come_in_the_order_of_their_last_use() -> None:
    held = HeldSessions()
    for now_s, session_id in enumerate((A, B, C, A)):
        with held.use(session_id, float(now_s)) as session:
            session.is_open = True

    assert list(held.idle(before_s=2.5)) == [B, C]
    assert list(held.idle(before_s=3.0)) == [B, C, A]
    assert list(held.idle(before_s=0.5)) == []


def test_session_in_use_is_not_idle() -> None:
    held = HeldSessions()
    with held.use(A, 1.0) as session:
        session.is_open = True

        assert list(held.idle(before_s=9.0)) == []


def test_forgotten_session_starts_from_nothing() -> None:
    held = HeldSessions()
    with held.use(A, 1.0) as session:
        session.is_open, session.last_index = True, 7
        session.forget()

        assert (session.is_open, session.last_index, session.lease) == (False, -1, None)

    assert held.num_open == 0
