"""The life of a session as a state machine. Pure: knows neither storage nor clocks.

    created -> connecting -> live <-> idle -> ended

`connecting` is a publisher that negotiates, `live` media that flows, `idle` a session without a
publisher. A publisher may come back at any time (`live -> connecting` when its old connection has
not been noticed to be dead yet), and any open session can end.
"""

from collections.abc import Mapping
from types import MappingProxyType

from service.sessions.record import SessionStatus

TRANSITIONS: Mapping[SessionStatus, frozenset[SessionStatus]] = MappingProxyType(
    {
        SessionStatus.CREATED: frozenset({SessionStatus.CONNECTING, SessionStatus.ENDED}),
        SessionStatus.CONNECTING: frozenset(
            {SessionStatus.LIVE, SessionStatus.IDLE, SessionStatus.ENDED}
        ),
        SessionStatus.LIVE: frozenset(
            {SessionStatus.CONNECTING, SessionStatus.IDLE, SessionStatus.ENDED}
        ),
        SessionStatus.IDLE: frozenset(
            {SessionStatus.CONNECTING, SessionStatus.LIVE, SessionStatus.ENDED}
        ),
        SessionStatus.ENDED: frozenset(),
    }
)


def can_move(current: SessionStatus, target: SessionStatus) -> bool:
    """Whether a session may go from `current` to `target`.

    Staying where it is counts as a move while the session is open, so that a retry is harmless.
    """
    if current is SessionStatus.ENDED:
        return False
    return target is current or target in TRANSITIONS[current]


def sources(target: SessionStatus) -> tuple[SessionStatus, ...]:
    """The states from which a session may go to `target`, `target` itself included if open."""
    return tuple(current for current in SessionStatus if can_move(current, target))
