"""A recording replayed by the service, sans I/O: bytes in, what comes of it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from clients.sdk.codec import decode
from clients.sdk.errors import error_from_payload
from clients.sdk.reader import EventReader, payload_of
from clients.sdk.stream import SseEvent

# one answer, or one chunk that the service insists on, may take as long as this
SILENCE_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """What the recording says of the session that it is of.

    Attributes:
        session_id: Of then.
        service: Version that recorded it.
        model: The model that answered.
        profile: How it was compressed.
        is_whole: It had no media before, so a replay can be the same to the last token.
        end_reason: Why the recording ended.
        num_chunks: Chunks that it tells of.
        num_answers: Questions that were answered meanwhile.
    """

    session_id: str
    service: str
    model: str
    profile: str
    is_whole: bool
    end_reason: str
    num_chunks: int
    num_answers: int


@dataclass(frozen=True, slots=True)
class ReplayBegun:
    """The file is whole, and a session of its own is made for it."""

    session_id: str
    recording: RecordedSession


@dataclass(frozen=True, slots=True)
class ReplayedChunk:
    """One chunk, cut and pruned again.

    Attributes:
        kept: Tokens kept, by modality; empty where there is no such chunk now.
        kept_sha256: Digest of which ones.
        is_compared: The recording tells what came of it then.
        differences: Fields of its `chunk` event that are not what they were, or "missing", or
            "failed".
        failure: Why the service gave it up.
    """

    index: int
    kept: Mapping[str, int]
    kept_sha256: str | None
    is_compared: bool
    differences: tuple[str, ...]
    failure: str | None


@dataclass(frozen=True, slots=True)
class ReplayedAnswer:
    """A question asked again.

    Attributes:
        context_end_s: Stream time up to which the answer had seen.
        recorded: The answer of then.
        replayed: The answer now; None: there is none, for the `reason`.
        is_same: None where it cannot be compared.
    """

    question: str
    context_end_s: float
    recorded: str
    replayed: str | None
    is_same: bool | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """How many there were, could be compared, and differ."""

    compared: int
    different: int
    replayed: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The end of a replay.

    Attributes:
        is_same: All that can be compared came out as it was.
        model: The model that answered now.
    """

    is_same: bool
    model: str
    chunks: ReplayCounts
    answers: ReplayCounts


ReplayItem: TypeAlias = ReplayBegun | ReplayedChunk | ReplayedAnswer | ReplayReport

_KINDS: dict[str, type[ReplayItem]] = {
    "session": ReplayBegun,
    "chunk": ReplayedChunk,
    "answer": ReplayedAnswer,
    "report": ReplayReport,
}


class ReplayStream(EventReader[ReplayItem]):
    """Reads the event stream of one replay."""

    broken = "the connection broke before the replay was over; try again"

    def _item(self, event: SseEvent) -> ReplayItem | None:
        payload = payload_of(event)
        if event.type == "error":
            raise error_from_payload(payload)
        kind = _KINDS.get(event.type)
        if kind is None:
            return None
        item = decode(kind, payload)
        self._is_complete = isinstance(item, ReplayReport)
        return item


__all__ = [
    "SILENCE_LIMIT_S",
    "RecordedSession",
    "ReplayBegun",
    "ReplayCounts",
    "ReplayItem",
    "ReplayReport",
    "ReplayStream",
    "ReplayedAnswer",
    "ReplayedChunk",
]
