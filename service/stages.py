"""The stages a chunk and a question pass through, as protocols. Knows nothing of what runs them.

The plain workers (`service.encoder`, `service.compression`, `service.llm`) satisfy these protocols
in one process; the adapters in `service.deployments` satisfy them across a Ray cluster.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from service.llm.engine import Finished, Question, TokenDelta
from service.llm.unit import Unit
from service.media.chunk import EncodedChunk, MediaChunk
from service.sessions.record import ChunkRecord, SessionId


class EncoderStage(Protocol):
    """Media to tokens."""

    async def encode(self, chunk: MediaChunk) -> EncodedChunk:
        """Turn media into tokens. Stateless; batched with other sessions' chunks."""
        ...


class CompressorStage(Protocol):
    """Tokens to fewer tokens, logged."""

    async def compress(
        self, session_id: SessionId, chunk: EncodedChunk, *, steal_from: str | None = None
    ) -> ChunkRecord:
        """Prune the chunk and append it to the session's log: durable when this returns.

        A chunk index already logged returns the logged record and changes nothing. `steal_from`
        is the owner that the caller's router could not reach: its lease is taken over.

        Raises:
            SessionNotFound: No such session.
            SessionEnded: It has ended.
            NotOwner: Another replica compresses this session (between replicas only).
            StoreUnavailable: Redis cannot be reached; nothing was logged, try again.
        """
        ...

    async def close(self, session_id: SessionId) -> None:
        """Free what the session holds; unknown sessions are ignored."""
        ...


class LLMStage(Protocol):
    """Logged tokens to context, questions to answers."""

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None:
        """Prefill the chunk into the session's KV cache; entries missed are read from the log."""
        ...

    def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        """Answer from all chunks appended so far; closing the iterator cancels."""
        ...

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...]:
        """What the session's context holds of each chunk, oldest first.

        Where it is not in the cache now, what it will hold once it is; its lease is left alone.

        Raises:
            SessionNotFound: No such session.
            StoreUnavailable: Redis cannot be reached.
        """
        ...

    async def close(self, session_id: SessionId) -> None:
        """Free what the session holds; unknown sessions are ignored."""
        ...


__all__ = ["CompressorStage", "EncodedChunk", "EncoderStage", "LLMStage"]
