"""The wire: what requests and answers look like. Knows nothing about how they are served."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Ratio = Annotated[float, Field(gt=0, le=1, description="kept / total tokens")]
StopString = Annotated[str, Field(max_length=1000)]
StopStrings = Annotated[list[StopString], Field(max_length=4)]
Label = Annotated[str, Field(max_length=64)]
LabelValue = Annotated[str, Field(max_length=1024)]
ProfileName = Literal["live", "paper-35", "paper-25", "speech", "full"]


class Request(BaseModel):
    """A request body; unknown fields are an error, so that a typo is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class Response(BaseModel):
    """A response body, or an event."""

    model_config = ConfigDict(from_attributes=True)


# sessions


class CreateSession(Request):
    """`POST /v1/sessions`."""

    profile: ProfileName | None = Field(None, description="compression profile")
    video_keep_ratio: Ratio | None = None
    audio_keep_ratio: Ratio | None = None
    instructions: str | None = Field(None, max_length=4000, description="system prompt")
    metadata: dict[Label, LabelValue] = Field(default_factory=dict, max_length=16)


class ModalityTokens(Response):
    """Tokens of one modality, `in` before compression and `kept` after it."""

    in_: int = Field(alias="in", serialization_alias="in")
    kept: int
    model_config = ConfigDict(populate_by_name=True)


class Tokens(Response):
    """Tokens by modality."""

    video: ModalityTokens
    audio: ModalityTokens


class SessionLinks(Response):
    """Paths of what can be done with a session."""

    self_: str = Field(alias="self", serialization_alias="self")
    whip: str
    query: str
    events: str
    model_config = ConfigDict(populate_by_name=True)


class Session(Response):
    """A session's record."""

    id: str
    object: Literal["session"] = "session"
    status: Literal["created", "connecting", "live", "idle", "ended"]
    profile: str
    keep_ratio: float | None = Field(description="kept / total tokens so far")
    created_at_s: float = Field(description="Unix time")
    started_at_s: float | None = Field(description="Unix time of the first media")
    ended_at_s: float | None
    end_reason: str | None
    chunks: int = Field(description="2 s chunks in the log since the start")
    stream_s: float = Field(description="stream time up to which the context reaches")
    lag_s: float | None = Field(description="glass to context of the last chunk")
    tokens: Tokens
    metadata: dict[str, str]
    links: SessionLinks


class SessionList(Response):
    """`GET /v1/sessions`."""

    object: Literal["list"] = "list"
    data: list[Session]


# questions


class CreateToken(Request):
    """`POST /v1/sessions/{id}/tokens`."""

    scopes: list[Literal["publish", "ask"]] = Field(["ask"], min_length=1, max_length=2)
    ttl_s: float = Field(
        3600.0, ge=1, le=86_400, description="life of the token", allow_inf_nan=False
    )


class SessionToken(Response):
    """A key to one session for a short time."""

    token: str = Field(description="sent as `Authorization: Bearer TOKEN`; it is kept nowhere")
    session_id: str
    scopes: list[str]
    expires_at_s: float = Field(description="Unix time")


class Query(Request):
    """`POST /v1/sessions/{id}/query`."""

    question: str = Field(min_length=1, max_length=16_000)
    stream: bool = False
    max_tokens: int = Field(128, ge=1, le=4096)
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=0)
    stop: StopStrings = Field(default_factory=list)
    window_s: float | None = Field(None, gt=0, description="only the last this many seconds")
    at_s: float | None = Field(None, gt=0, description="as of this stream time, not now")


class Usage(Response):
    """Token counts of an answer; `stream` is the session's tokens in and kept so far."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    stream: Tokens


class Span(Response):
    """A stretch of stream."""

    start_s: float
    end_s: float


class Answer(Response):
    """An answer. As SSE: `token` events `{"text"}`, then one `answer` event with this body."""

    id: str
    object: Literal["answer"] = "answer"
    session_id: str
    question: str
    answer: str
    finish_reason: Literal["stop", "length", "cancelled"]
    context_start_s: float = Field(description="stream time of the oldest chunk seen")
    context_end_s: float = Field(description="stream time up to which the answer has seen")
    spans: list[Span] = Field(description="stretches of stream that the answer could see")
    ttft_s: float | None = Field(description="arrival of the question to its first token")
    duration_s: float
    usage: Usage


class Manner(Response):
    """How a question was asked."""

    temperature: float
    top_p: float
    seed: int | None
    stop: list[str]
    window_s: float | None
    at_s: float | None
    reached_s: float = Field(description="stream time that the context had come to")
    num_messages: int = Field(description="of the conversation that the question ended")


class TurnItem(Response):
    """One question and its answer, as remembered."""

    id: str
    question: str
    answer: str
    asked_at_s: float
    context_end_s: float
    finish_reason: str
    ttft_s: float | None
    duration_s: float
    manner: Manner | None = Field(None, description="null: an older version answered")


class TurnList(Response):
    """`GET /v1/sessions/{id}/turns`, oldest first."""

    object: Literal["list"] = "list"
    data: list[TurnItem]


class TimelineChunk(Response):
    """One 2 s unit of the stream in the log."""

    index: int
    start_s: float
    end_s: float
    tokens: Tokens
    held: "HeldTokens | None" = Field(description="what of it is in context; null: forgotten")
    gaps: list["GapItem"]
    cuts_s: list[float] = Field(description="stream times at which a new scene begins")
    onsets_s: list[float] = Field(description="stream times at which a sound begins")
    has_thumbnail: bool


class HeldTokens(Response):
    """Tokens of a unit that are in the LLM's context now."""

    video_tokens: int
    audio_tokens: int


class GapItem(Response):
    """Media that was missing."""

    modality: Literal["video", "audio"]
    start_s: float
    duration_s: float


class TimelineQuestion(Response):
    """A question on the stream's clock."""

    id: str
    question: str
    stream_s: float = Field(description="stream time up to which its answer had seen")


class Timeline(Response):
    """`GET /v1/sessions/{id}/timeline`, oldest first."""

    object: Literal["timeline"] = "timeline"
    session_id: str
    chunks: list[TimelineChunk]
    questions: list[TimelineQuestion] = Field(description="asked about this stretch, oldest first")


# watch rules


class CreateRule(Request):
    """`POST /v1/sessions/{id}/rules`."""

    condition: str = Field(min_length=1, max_length=1000, description="a question, or a statement")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability of yes that fires it")
    cooldown_s: float = Field(30.0, ge=0, le=86_400, description="silent for so long after firing")
    min_interval_s: float = Field(2.0, ge=0, le=86_400, description="asked no more often")
    webhook_url: str | None = Field(None, max_length=2048)


class Rule(Response):
    """A watch rule."""

    id: str
    object: Literal["rule"] = "rule"
    condition: str
    threshold: float
    cooldown_s: float
    min_interval_s: float
    created_at_s: float = Field(description="Unix time")
    webhook_url: str | None


class CreatedRule(Rule):
    """A new watch rule."""

    webhook_secret: str | None = Field(description="signs its webhooks; it is told only here")


class RuleList(Response):
    """`GET /v1/sessions/{id}/rules`, oldest first."""

    object: Literal["list"] = "list"
    data: list[Rule]


# errors and health


class ErrorBody(Response):
    """What went wrong, for a program and for a person."""

    code: str = Field(description="stable identifier, see docs/api.md")
    message: str
    retryable: bool
    details: dict[str, Any] = Field(default_factory=dict)


class ErrorResponse(Response):
    """The one error shape of every route but the OpenAI ones."""

    error: ErrorBody


class OpenAIErrorBody(Response):
    """OpenAI's error, with all four of its fields always present."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorResponse(Response):
    """The error shape of the OpenAI routes."""

    error: OpenAIErrorBody


class Health(Response):
    """`GET /healthz` and `GET /readyz`."""

    status: Literal["ok", "unready"]
    checks: dict[str, str] = Field(default_factory=dict)
