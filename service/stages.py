"""The stages a chunk and a question pass through, as protocols. Knows nothing of what runs them.

The plain workers (`service.encoder`, `service.compression`, `service.llm`) satisfy these protocols
in one process; the adapters in `service.deployments` satisfy them across a Ray cluster.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from compressor.tokens import TokenChunk
from service.llm.engine import Finished, Question, TokenDelta
from service.media.chunk import Gap, MediaChunk
from service.sessions.record import ChunkRecord, SessionId


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """A chunk as tokens, before compression; see `ChunkRecord` for the fields in common."""

    index: int
    tokens: TokenChunk
    grid_sizes: tuple[tuple[int, int], ...]
    gaps: tuple[Gap, ...]


class EncoderStage(Protocol):
    async def encode(self, chunk: MediaChunk) -> EncodedChunk:
        """Turn media into tokens. Stateless; batched with other sessions' chunks."""
        ...


class CompressorStage(Protocol):
    async def compress(self, session_id: SessionId, chunk: EncodedChunk) -> ChunkRecord:
        """Prune the chunk and append it to the session's log: durable when this returns.

        A chunk index already logged returns the logged record and changes nothing.

        Raises:
            SessionNotFound: No such session, or it has ended.
            StoreUnavailable: Redis cannot be reached; nothing was logged, try again.
        """
        ...


class LLMStage(Protocol):
    async def append(self, session_id: SessionId, record: ChunkRecord) -> None:
        """Prefill the chunk into the session's KV cache; entries missed are read from the log."""
        ...

    def ask(
        self, session_id: SessionId, question: Question
    ) -> AsyncIterator[TokenDelta | Finished]:
        """Answer from all chunks appended so far; closing the iterator cancels."""
        ...

    async def close(self, session_id: SessionId) -> None:
        """Free what the session holds; unknown sessions are ignored."""
        ...
