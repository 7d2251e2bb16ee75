"""One chunk in context: what came of it and what is left. Knows nothing about budgets or caches."""

from dataclasses import dataclass, replace

from compressor.tokens import CompressedChunk, TokenCounts
from service.media.chunk import CHUNK_S


@dataclass(frozen=True, slots=True)
class Unit:
    """One chunk in context.

    Attributes:
        index: Chunk number.
        arrived: Tokens it came with.
        held: Tokens of it that are still there; never more than came, never more than before.
        start_id: Id of its start, relative to stream time zero.
        start_s: Stream time of its start.
        end_s: Stream time of its end.
        next_id: 1 + its highest id, relative to stream time zero; what follows starts no lower.
    """

    index: int
    arrived: TokenCounts
    held: TokenCounts
    start_id: int
    start_s: float
    end_s: float
    next_id: int

    @property
    def num_tokens(self) -> int:
        """Tokens held."""
        return self.held.total

    def reduced_to(self, counts: TokenCounts) -> "Unit":
        """Return the unit with no more than so many tokens of each modality."""
        video = min(self.held.video, counts.video)
        audio = min(self.held.audio, counts.audio)
        held = TokenCounts(video, audio)
        return self if held == self.held else replace(self, held=held)


def unit_of(chunk: CompressedChunk, ids_per_s: int) -> Unit:
    """Describe a chunk as a unit that holds all of it.

    Args:
        chunk: The chunk.
        ids_per_s: Ids per second of stream.
    """
    return Unit(
        index=round(chunk.start_s / CHUNK_S),
        arrived=chunk.counts_kept,
        held=chunk.counts_kept,
        start_id=int(chunk.start_s * ids_per_s),
        start_s=chunk.start_s,
        end_s=chunk.start_s + CHUNK_S,
        next_id=chunk.next_position,
    )
