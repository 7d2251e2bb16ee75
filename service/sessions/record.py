"""What is known of a session: its record, its chunks, its turns. Plain values, no storage."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from compressor.tokens import CompressedChunk, TokenCounts
from service.media.chunk import CHUNK_S, NO_MARKS, Gap, Marks

SessionId = NewType("SessionId", str)
NO_TOKENS = TokenCounts(0, 0)


class SessionStatus(StrEnum):
    """Where a session stands; see `service.sessions.state` for the transitions."""

    CREATED = "created"
    CONNECTING = "connecting"
    LIVE = "live"
    IDLE = "idle"
    ENDED = "ended"


class Stage(StrEnum):
    """A stateful stage that one replica owns per session, by a lease."""

    INGEST = "ingest"
    COMPRESSOR = "compressor"
    LLM = "llm"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What the creator of a session chose; fixed for its life.

    Attributes:
        profile: Name of the compression profile.
        video_keep_ratio: Override of the profile's, kept / total in (0, 1], or None.
        audio_keep_ratio: Likewise.
        instructions: System prompt; None for the model's default.
        metadata: Caller's own labels, returned as given.
    """

    profile: str
    video_keep_ratio: float | None = None
    audio_keep_ratio: float | None = None
    instructions: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """A session's record.

    Attributes:
        created_at_s: Unix time.
        started_at_s: Unix time of stream time zero (first media), None before it.
        ended_at_s: Unix time, None while it is open.
        end_reason: Why it ended ("deleted", "no_media", ...), None while it is open.
        last_index: Index of the last chunk in the log, -1 before the first.
        num_chunks: Chunks logged since the start (some may have left the bounded log).
        counts_in: Tokens before compression, all chunks.
        counts_kept: Tokens after it.
        lag_s: Glass to context of the last chunk, None before the first.
        owners: Replica that holds an unexpired lease of each stage, by `Stage`.
        key_id: The API key that made it, None where the service had no keys.
    """

    id: SessionId
    config: SessionConfig
    status: SessionStatus
    created_at_s: float
    started_at_s: float | None = None
    ended_at_s: float | None = None
    end_reason: str | None = None
    last_index: int = -1
    num_chunks: int = 0
    counts_in: TokenCounts = NO_TOKENS
    counts_kept: TokenCounts = NO_TOKENS
    lag_s: float | None = None
    owners: dict[Stage, str] = field(default_factory=dict)
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """One entry of a session's log: all that a replica needs to rebuild its part of the context.

    Attributes:
        index: Chunk number, stream time `index * 2 s`.
        follows: Index of the entry before it, -1 for the first. Numbers may be missing (gaps), so
            this is how a reader knows that it has them all.
        compressed: The kept tokens.
        grid_sizes: (rows, columns) of merged tokens per temporal grid, for overlays.
        gaps: Media that was missing.
        marks: What else is known of it.
    """

    index: int
    follows: int
    compressed: CompressedChunk
    grid_sizes: tuple[tuple[int, int], ...] = ()
    gaps: tuple[Gap, ...] = ()
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that a session is watched for; see `service.rules.judge` for what it does.

    Attributes:
        condition: In words; a question that is answered by yes or no, or a statement.
        threshold: Probability of yes from which on it fires, in (0, 1).
        cooldown_s: After firing it stays silent for so long.
        min_interval_s: It is asked about no more often.
        created_at_s: Unix time.
        webhook_url: Told when it fires; None: only the session's events are.
        webhook_secret: Signs that; empty without a webhook.
    """

    id: str
    condition: str
    threshold: float
    cooldown_s: float
    min_interval_s: float
    created_at_s: float
    webhook_url: str | None = None
    webhook_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RuleState:
    """Where a rule stands; times are Unix times.

    Attributes:
        asked_at_s: When it was asked about last.
        fired_at_s: When it fired last.
        is_armed: It has been unlikely since it last fired.
        index: The chunk by which it was judged last; -1 before the first.
    """

    asked_at_s: float | None = None
    fired_at_s: float | None = None
    is_armed: bool = True
    index: int = -1


@dataclass(frozen=True, slots=True)
class KeptSource:
    """What another replica needs to go on with media that one fetches for a session.

    Attributes:
        url: As it was given, password and all; None for an upload, which dies with its replica.
        speed: Of a media file: "realtime" or "fast".
        skip_s: Seconds of the media file that were in the log before it was begun this time.
        from_index: The chunk at which it began this time; None before it is known.
    """

    id: str
    url: str | None = field(repr=False)
    speed: str
    skip_s: float = 0.0
    from_index: int | None = None

    def played_s(self, last_index: int) -> float:
        """How many seconds of a media file are in a log that ends at `last_index`."""
        if self.from_index is None:
            return self.skip_s
        return self.skip_s + max(0, last_index + 1 - self.from_index) * CHUNK_S


@dataclass(frozen=True, slots=True)
class Manner:
    """How a question was asked, as far as asking it again wants to know.

    Attributes:
        temperature: 0 is greedy; `top_p`, `seed` and `stop` likewise as in the question.
        window_s: Only the last this many seconds of stream counted; None: all.
        at_s: Stream time that it was asked about; None: the present.
        reached_s: Stream time that the context had come to.
        num_messages: Of the conversation, of which a turn keeps the last.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    window_s: float | None = None
    at_s: float | None = None
    reached_s: float = 0.0
    num_messages: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer.

    Attributes:
        asked_at_s: Unix time of the question.
        context_end_s: Stream time up to which the answer has seen, in seconds.
        finish_reason: "stop", "length", "cancelled" or "error".
        ttft_s: Seconds from the question's arrival to its first token, None if there was none.
        duration_s: Seconds until the last.
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
    prompt_tokens: int
    completion_tokens: int
    manner: Manner | None = None
