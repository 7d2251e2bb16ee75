"""What the service answers with, as plain values. Knows nothing about how they are fetched.

All are read by `clients.sdk.codec`: fields that this version does not know are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModalityTokens:
    """Tokens of one modality.

    Attributes:
        in_: Before compression (`in` in JSON).
        kept: After it.
    """

    in_: int = field(metadata={"json": "in"})
    kept: int

    def __add__(self, other: "ModalityTokens") -> "ModalityTokens":
        return ModalityTokens(self.in_ + other.in_, self.kept + other.kept)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by modality."""

    video: ModalityTokens
    audio: ModalityTokens

    @classmethod
    def zero(cls) -> "Tokens":
        return cls(ModalityTokens(0, 0), ModalityTokens(0, 0))

    @property
    def total(self) -> ModalityTokens:
        return self.video + self.audio

    @property
    def keep_ratio(self) -> float | None:
        """Kept / total tokens; None before the first token."""
        return self.total.kept / self.total.in_ if self.total.in_ else None

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.video + other.video, self.audio + other.audio)


@dataclass(frozen=True, slots=True)
class Session:
    """A session's record.

    Attributes:
        status: "created", "connecting", "live", "idle" or "ended".
        keep_ratio: Kept / total tokens so far, None before the first chunk.
        created_at_s: Unix time.
        started_at_s: Unix time of the first media, None before it.
        ended_at_s: Unix time, None while the session is open.
        chunks: Chunks (2 s each) in the log since the start.
        stream_s: Stream time up to which the context reaches, in seconds.
        lag_s: Glass to context of the last chunk, in seconds.
        links: Paths of what can be done with the session, by name.
    """

    id: str
    status: str
    profile: str
    created_at_s: float
    tokens: Tokens
    keep_ratio: float | None = None
    started_at_s: float | None = None
    ended_at_s: float | None = None
    end_reason: str | None = None
    chunks: int = 0
    stream_s: float = 0.0
    lag_s: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return self.status == "ended"

    @property
    def is_answerable(self) -> bool:
        """The context holds at least one chunk, so that a question has something to be about."""
        return self.chunks > 0 and not self.has_ended


@dataclass(frozen=True, slots=True)
class SessionList:
    """Sessions, newest first."""

    data: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of an answer; `stream` is the session's tokens in and kept so far."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    stream: Tokens


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of stream; times are stream times in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        answer: Its text.
        finish_reason: "stop", "length" or "cancelled".
        context_start_s: Stream time of the oldest chunk seen, in seconds.
        context_end_s: Stream time up to which the answer has seen, in seconds.
        ttft_s: Seconds from the question's arrival at the service to the first token.
        duration_s: Seconds until the last.
        spans: Stretches of stream that the answer could see, in order.
    """

    id: str
    session_id: str
    question: str
    answer: str
    finish_reason: str
    context_start_s: float
    context_end_s: float
    ttft_s: float | None
    duration_s: float
    usage: Usage
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An answer about files that came with the question.

    Attributes:
        answer: Its text.
        finish_reason: "stop" or "length".
        usage: `usage.stream` counts the files' tokens in and kept.
    """

    id: str
    answer: str
    finish_reason: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Model:
    """A model that answers.

    Attributes:
        created_at_s: Unix time (`created` in JSON).
    """

    id: str
    created_at_s: int = field(metadata={"json": "created"})


@dataclass(frozen=True, slots=True)
class ModelList:
    """Models; a service runs one."""

    data: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A short-lived credential for one session; `api_key` of a client takes it.

    Attributes:
        token: Show it to nobody who should not get in; the service keeps it nowhere.
        expires_at_s: Unix time.
    """

    token: str = field(repr=False)
    session_id: str
    scopes: tuple[str, ...]
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class SessionSource:
    """Media that the service fetches, or was sent.

    Attributes:
        url: Without user, password and query; None for a media file that was sent.
        speed: "realtime" or "fast".
        state: "connecting", "live", "reconnecting", "ended" or "failed".
        reason: Why it is in this state; None where there is nothing to say.
        since_s: Unix time since when.
    """

    id: str
    url: str | None
    speed: str
    state: str
    reason: str | None
    since_s: float

    @property
    def is_over(self) -> bool:
        """Nothing more comes of it."""
        return self.state in ("ended", "failed")


@dataclass(frozen=True, slots=True)
class SourceList:
    """Sources, oldest first."""

    data: tuple[SessionSource, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that a session is watched for.

    Attributes:
        threshold: Probability of yes from which on it fires.
        cooldown_s: After firing it stays silent for so long.
        min_interval_s: It is asked about no more often.
        created_at_s: Unix time.
        webhook_secret: Signs its webhooks; given only by `create_rule`.
    """

    id: str
    condition: str
    threshold: float
    cooldown_s: float
    min_interval_s: float
    created_at_s: float
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules, oldest first."""

    data: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a question was asked.

    Attributes:
        temperature: 0 is greedy.
        window_s: Only the last this many seconds of stream counted; None: all.
        at_s: Stream time that it was asked about; None: the present.
        reached_s: Stream time that the context had come to.
        num_messages: Of the conversation that the question ended.
    """

    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    window_s: float | None
    at_s: float | None
    reached_s: float
    num_messages: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer, as the session remembers it.

    Attributes:
        asked_at_s: Unix time.
        context_end_s: Stream time up to which the answer had seen, in seconds.
        manner: How it was asked; None: a version answered that did not keep it.
    """

    id: str
    question: str
    answer: str
    asked_at_s: float
    context_end_s: float
    finish_reason: str
    ttft_s: float | None
    duration_s: float
    manner: Manner | None = None


@dataclass(frozen=True, slots=True)
class TurnList:
    """Turns, oldest first."""

    data: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Media that was missing; times are stream times in seconds."""

    modality: str
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class HeldTokens:
    """Tokens of a unit that are in the LLM's context now."""

    video_tokens: int
    audio_tokens: int


@dataclass(frozen=True, slots=True)
class TimelineChunk:
    """One 2 s unit of the stream; times are stream times in seconds.

    Attributes:
        held: What of it is in context; None where it is forgotten.
        cuts_s: Where a new scene begins.
        onsets_s: Where a sound begins.
        has_thumbnail: Whether `thumbnail` of a client gives one.
    """

    index: int
    start_s: float
    end_s: float
    tokens: Tokens
    gaps: tuple[Gap, ...] = ()
    held: HeldTokens | None = None
    cuts_s: tuple[float, ...] = ()
    onsets_s: tuple[float, ...] = ()
    has_thumbnail: bool = False


@dataclass(frozen=True, slots=True)
class TimelineQuestion:
    """A question on the stream's clock.

    Attributes:
        stream_s: Stream time up to which its answer had seen, in seconds.
    """

    id: str
    question: str
    stream_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The units of the stream in the log, oldest first."""

    session_id: str
    chunks: tuple[TimelineChunk, ...]
    questions: tuple[TimelineQuestion, ...] = ()


__all__ = [
    "Answer",
    "Gap",
    "HeldTokens",
    "ModalityTokens",
    "Model",
    "ModelList",
    "Rule",
    "RuleList",
    "Session",
    "SessionList",
    "SessionSource",
    "SessionToken",
    "SourceList",
    "Span",
    "Timeline",
    "TimelineChunk",
    "TimelineQuestion",
    "Tokens",
    "Turn",
    "TurnList",
    "Usage",
]
