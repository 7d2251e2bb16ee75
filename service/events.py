"""What happens to a session, as told to its watchers over SSE. Plain values that become JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EventType = Literal[
    "session.created",
    "session.connecting",
    "session.live",
    "session.idle",
    "session.moving",
    "session.ended",
    "chunk",
    "dropped",
    "scene.cut",
    "sound.onset",
    "source.state",
    "turn",
    "rule.matched",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a session's event feed.

    Attributes:
        at_s: Unix time.
        data: JSON-ready fields of the type; documented in docs/api.md.
    """

    type: EventType
    session_id: str
    at_s: float
    data: Mapping[str, Any] = field(default_factory=dict)
