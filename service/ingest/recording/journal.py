"""The lines of a recording's journal, which is its text track: one JSON object each. Pure.

A line tells of the blocks that come before it. Times are Unix times and exact: JSON keeps every
bit of a float. The first line is the `Header`, the last one the `End`; a file without it was cut.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from service.media.chunker import ChunkerConfig
from service.sessions.record import Manner, SessionConfig

FORMAT = 1  # of the journal; another one is not read
MAX_LINE_BYTES = 1 << 20

ANSWERED = ("stop", "length")

FrameKind = Literal["video", "audio"]
EndReason = Literal["seconds", "bytes", "too_slow", "stopped", "no_media", "session_over"]


@dataclass(frozen=True, slots=True)
class Header:
    """What was recorded, and all that a replay must know besides.

    Attributes:
        format: Of the journal.
        service: Version that recorded.
        model: The model that answered.
        session_id: Whose media it is.
        config: What the session's creator chose.
        chunker: How media became chunks.
        recorded_at_s: Unix time of the recording's begin.
        started_at_s: Unix time of stream time zero.
        after_index: Chunks up to this one are not in the recording.
        is_whole: The session had no media before: a replay can be the same to the last token.
        lead_s: How far stream time was ahead of the clock at the recording's begin.
        is_recorded: Whoever published then was a file.
    """

    service: str
    model: str
    session_id: str
    config: SessionConfig
    chunker: ChunkerConfig
    recorded_at_s: float
    started_at_s: float
    after_index: int
    is_whole: bool
    lead_s: float = 0.0
    is_recorded: bool = False
    format: int = FORMAT
    type: Literal["header"] = "header"


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture or a run of samples; `num_bytes` is the size of its block, which 0 has none of.

    Attributes:
        is_decodable: False: it could not be converted, and counts as such again.
    """

    kind: FrameKind
    at_s: float
    arrived_s: float
    num_bytes: int
    is_decodable: bool = True


@dataclass(frozen=True, slots=True)
class Began:
    """A publisher began; see `service.ingest.queue.Begin`."""

    has_video: bool
    has_audio: bool
    at_s: float
    is_recorded: bool = False
    is_next: bool = False
    kind: Literal["begin"] = "begin"


@dataclass(frozen=True, slots=True)
class Left:
    """The publisher was gone."""

    kind: Literal["gone"] = "gone"


Mark = Annotated[Frame | Began | Left, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at what had arrived: the arguments of one `Cutter.cut`."""

    now_s: float
    items: tuple[Mark, ...]
    type: Literal["look"] = "look"


@dataclass(frozen=True, slots=True)
class Told:
    """What the service told of a chunk: the data of its `chunk` or `dropped` event."""

    event: Literal["chunk", "dropped"]
    data: dict[str, Any]
    type: Literal["told"] = "told"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was asked meanwhile, and its answer.

    Attributes:
        context_end_s: Stream time up to which the answer had seen.
        finish_reason: As in `service.sessions.record.Turn`, likewise `completion_tokens`.
        manner: Likewise; None in recordings of a version that did not keep it.
    """

    question: str
    answer: str
    context_end_s: float
    finish_reason: str
    completion_tokens: int
    manner: Manner | None = None
    type: Literal["asked"] = "asked"

    @property
    def is_answered(self) -> bool:
        """The answer came to its own end."""
        return self.finish_reason in ANSWERED

    @property
    def reached_s(self) -> float:
        """Stream time that the context had come to when it was answered."""
        reached_s = 0.0 if self.manner is None else self.manner.reached_s
        return max(self.context_end_s, reached_s)


@dataclass(frozen=True, slots=True)
class End:
    """The recording's end; `crc32` is of all blocks before, in order."""

    reason: EndReason
    crc32: int
    type: Literal["end"] = "end"


Line = Header | Look | Told | Asked | End

_LINES: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


def dump_line(line: Line) -> bytes:
    return _LINES.dump_json(line)


def parse_line(data: bytes) -> Line:
    """Read a line.

    Raises:
        ValueError: It is none.
    """
    if len(data) > MAX_LINE_BYTES:
        raise ValueError(f"a line of {len(data)} bytes")
    try:
        return _LINES.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place or 'a line'}: {first['msg']}") from error


__all__ = [
    "Asked",
    "Began",
    "End",
    "EndReason",
    "Frame",
    "FrameKind",
    "Header",
    "Left",
    "Line",
    "Look",
    "Told",
    "dump_line",
    "parse_line",
]
