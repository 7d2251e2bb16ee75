"""The LLM engine's public face: questions in, tokens out."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from compressor.tokens import CompressedChunk
from service.llm.context import ContextRules
from service.llm.forgotten import Loss
from service.llm.unit import Unit
from service.sessions.record import SessionId


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens.

    Attributes:
        max_tokens: At most this many are generated, 1 or more.
        temperature: 0 is greedy.
        top_p: Nucleus in (0, 1].
        seed: Same seed, same context: same answer. None draws one.
        stop: Strings that end the answer; not part of it.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; the last of a question is the user's."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a session.

    Attributes:
        id: Unique; names the request for `abort`.
        messages: The conversation about the stream, oldest first, at least one, the last by "user".
        sampling: How to draw tokens.
        window_s: Only the last this many seconds of stream count; None: all that is held.
        at_s: Stream time of the moment it is asked about: what came later does not count, and the
            window ends there. None: now.
        choices: Ask for no text, but how likely the answer is to begin with one of the first group
            of tokens, of the second, and so on. Such a question gives way to all others. See
            `service.llm.polls`.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    window_s: float | None = None
    at_s: float | None = None
    choices: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """New text of an answer; may be empty while a multi-byte character is incomplete."""

    text: str
    token_id: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer.

    Attributes:
        text: The whole answer.
        reason: "stop" (end token or stop string), "length" or "cancelled".
        prompt_tokens: Tokens the answer could see: header, stream tokens held, question.
        completion_tokens: Tokens generated.
        context_start_s: Stream time of the oldest chunk seen.
        context_end_s: Stream time up to which the answer has seen.
        ttft_s: Seconds from `ask` to the first token, None if there was none.
        duration_s: Seconds from `ask` to the last.
        spans: Stretches of stream that the answer could see, (start, end) in stream time, in order;
            adjacent units are one.
        choices: Probability of each group of the question's choices; they add up to 1. Empty where
            none were asked for.
        tail_tokens: Of the prompt's tokens those of the question itself.
    """

    text: str
    reason: str
    prompt_tokens: int
    completion_tokens: int
    context_start_s: float
    context_end_s: float
    ttft_s: float | None
    duration_s: float
    spans: tuple[tuple[float, float], ...] = ()
    choices: tuple[float, ...] = ()
    tail_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine holds and has done.

    Attributes:
        running: Questions being answered.
        waiting: Questions that wait for pages.
        pages_total: Pages of the KV cache.
        pages_free: Those that nothing holds.
        room_tokens: Tokens by which contexts can grow, reserves apart, before one of them shrinks.
        context_tokens: Stream tokens held, by session.
        video_tokens: Stream tokens of video held, all sessions.
        audio_tokens: Likewise of audio.
        context_s: Seconds of stream of which tokens are held, all sessions.
        forgotten_units: Units that lost tokens so far, by how.
        forgotten_tokens: Their tokens, by how and by modality.
        steps: Forwards run.
        decode_tokens: Tokens fed back to continue answers.
        chunk_tokens: Tokens of headers and chunks prefilled.
        question_tokens: Tokens of questions prefilled.
    """

    running: int
    waiting: int
    pages_total: int
    pages_free: int
    room_tokens: int
    context_tokens: Mapping[SessionId, int]
    video_tokens: int
    audio_tokens: int
    context_s: float
    forgotten_units: Mapping[Loss, int]
    forgotten_tokens: Mapping[tuple[Loss, str], int]
    steps: int
    decode_tokens: int
    chunk_tokens: int
    question_tokens: int

    @property
    def pages_used(self) -> int:
        return self.pages_total - self.pages_free

    @property
    def sessions(self) -> int:
        """Sessions held."""
        return len(self.context_tokens)


class LLMEngine(Protocol):
    """Holds the context of many sessions and answers questions about them, all at once."""

    @property
    def rules(self) -> ContextRules:
        """What bounds the context of each session."""
        ...

    async def open(self, session_id: SessionId, instructions: str | None) -> None:
        """Start a session with its header. Raises `AtCapacity` when it cannot be held."""
        ...

    async def append(self, session_id: SessionId, *chunks: CompressedChunk) -> None:
        """Extend the session's context. Chunks of one session are applied in call order.

        Of several in one call, only what the last leaves of each is ever written.
        """
        ...

    def ask(
        self, session_id: SessionId, question: Question
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        """Answer on a fork of the session's context; the last item is always `Finished`."""
        ...

    async def abort(self, question_id: str) -> None:
        """Stop a question and free its pages; unknown ids are ignored."""
        ...

    async def close(self, session_id: SessionId) -> None:
        """Free the session, aborting its questions."""
        ...

    def units(self, session_id: SessionId) -> tuple[Unit, ...]:
        """What is in the session's context of each chunk, oldest first; empty if it is not open."""
        ...

    def stats(self) -> EngineStats:
        """What is held and was done: no older than what the caller last waited for."""
        ...

    def check_health(self) -> None:
        """Raise `EngineUnavailable` if it can serve no more."""
        ...
