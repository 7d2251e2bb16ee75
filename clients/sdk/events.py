"""A session's events, typed. Knows nothing about connections.

Event
├── StatusEvent     session.created, .connecting, .live, .idle, .ended
├── ChunkEvent      2 s of stream are in the context
├── MomentEvent     scene.cut, sound.onset
├── RuleEvent       rule.matched
├── SourceEvent     source.state
├── DroppedEvent    a chunk was given up, and why
└── TurnEvent       a question was answered, by whoever asked it

A type that this version does not know is a plain `Event`; its fields are in `data`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clients.sdk.codec import decode
from clients.sdk.errors import MalformedAnswer
from clients.sdk.models import Gap, Tokens, Turn
from clients.sdk.stream import SseEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a session.

    Attributes:
        at_s: Unix time.
        cursor: Where the feed can be resumed after this event.
        data: The event exactly as received.
    """

    type: str
    session_id: str
    at_s: float
    cursor: str = field(default="", metadata={"json": None})
    data: Mapping[str, Any] = field(
        default_factory=dict, repr=False, compare=False, metadata={"json": None}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvent(Event):
    """The session's status changed."""

    reason: str | None = None
    started_at_s: float | None = None

    @property
    def status(self) -> str:
        return self.type.removeprefix("session.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Which tokens were kept.

    Attributes:
        video: Per temporal grid (1 s), ascending indices of patches in row-major order.
        audio: Ascending indices of audio tokens.
    """

    video: tuple[tuple[int, ...], ...] = ()
    audio: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkEvent(Event):
    """A chunk reached the context.

    Attributes:
        start_s: Stream time, in seconds; so is `end_s`.
        grid_sizes: (rows, columns) of patches per temporal grid.
        lag_s: Glass to context, in seconds.
        stages_s: Seconds spent per stage.
        gaps: Media that was missing.
        skew_s: How much later audio arrives than the video of the same instant.
    """

    index: int
    start_s: float
    end_s: float
    tokens: Tokens
    kept: Kept = field(default_factory=Kept)
    grid_sizes: tuple[tuple[int, int], ...] = ()
    lag_s: float | None = None
    stages_s: Mapping[str, float] = field(default_factory=dict)
    skew_s: float | None = None
    gaps: tuple[Gap, ...] = ()
    is_cut: bool = False
    has_thumbnail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentEvent(Event):
    """A new scene or a sound begins.

    Attributes:
        index: Of its chunk.
        start_s: Stream time, in seconds.
    """

    index: int
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEvent(Event):
    """A watch rule has fired.

    Attributes:
        probability: Of yes.
        start_s: Stream time, in seconds, of what it was asked about; so is `end_s`.
        index: Of the newest chunk in it.
        thumbnail: Path of that chunk's picture; None if it has none.
    """

    rule_id: str
    condition: str
    probability: float
    start_s: float
    end_s: float
    index: int
    thumbnail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent(Event):
    """Media that the service fetches, or was sent, changes; fields as of `SessionSource`."""

    source_id: str
    url: str | None
    speed: str
    state: str
    reason: str | None
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedEvent(Event):
    """A chunk was given up."""

    reason: str
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEvent(Event):
    """A question was answered."""

    turn: Turn


_KINDS: dict[str, type[Event]] = {
    "chunk": ChunkEvent,
    "dropped": DroppedEvent,
    "rule.matched": RuleEvent,
    "scene.cut": MomentEvent,
    "sound.onset": MomentEvent,
    "source.state": SourceEvent,
}


def parse_event(sse: SseEvent) -> Event:
    """Read one event of the feed.

    Raises:
        MalformedAnswer: Its data is not JSON, or lacks what its type promises.
    """
    try:
        data = json.loads(sse.data)
    except ValueError as exc:
        raise MalformedAnswer(f"event data is not JSON: {sse.data[:80]!r}") from exc
    # the three common fields of a turn event live beside those of the turn itself
    fields = data | {"turn": data} if sse.type == "turn" and isinstance(data, dict) else data
    return replace(decode(_kind(sse.type), fields), type=sse.type, cursor=sse.id, data=data)


def _kind(type_: str) -> type[Event]:
    if type_.startswith("session."):
        return StatusEvent
    return TurnEvent if type_ == "turn" else _KINDS.get(type_, Event)


__all__ = [
    "ChunkEvent",
    "DroppedEvent",
    "Event",
    "Kept",
    "MomentEvent",
    "RuleEvent",
    "SourceEvent",
    "StatusEvent",
    "TurnEvent",
    "parse_event",
]
