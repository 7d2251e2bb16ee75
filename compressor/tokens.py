"""Tokens of one chunk, before and after compression. Knows nothing about how tokens are scored."""

from dataclasses import dataclass
from enum import IntEnum


from torch import Tensor


class Modality(IntEnum):
    """What a token encodes; the value stored in `CompressedChunk.modality`."""

    VIDEO = 0
    AUDIO = 1


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens by modality."""

    video: int
    audio: int

    @property
    def total(self) -> int:
        return self.video + self.audio


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """Embeddings of one chunk (2 s of stream), as the encoders give them.

    Attributes:
        video: `[T, P, D]` at LLM width, one row of P tokens per temporal grid; or a tuple of T
            tensors `[P_t, D]` where a resolution change gave the grids unequal sizes. T may be 0.
        audio: `[A, D]`, same dtype, device and D. A may be 0.
        positions: TMRoPE ids `[3, N]` (time, height, width), int64, relative to stream time zero;
            the order of the N tokens is grid 1, grid 2, ..., audio.
        start_s: Presentation time of the chunk's start, seconds since the stream's start.

    Raises:
        ValueError: On a wrong shape or dtype, or when N does not match `positions`.
    """

    video: Tensor | tuple[Tensor, ...]
    audio: Tensor
    positions: Tensor
    start_s: float

    def __post_init__(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class CompressedChunk:
    """What is left of a `TokenChunk`: K of its N tokens, unmodified and in order.

    Attributes:
        embeddings: `[K, D]`, rows of the input.
        positions: `[3, K]` int64, the kept columns of the input's ids (they keep their gaps).
        modality: `[K]` uint8, values of `Modality`.
        scores: `[K]` float32, importance within its modality; comparable inside one modality only.
        kept: `[K]` int64, ascending indices into the chunk's N tokens.
        start_s: As in the `TokenChunk`.
        next_position: 1 + the highest id of the chunk before pruning, 0 for an empty chunk; text
            that follows the stream starts no lower.
        counts_in: Tokens before compression.
        counts_kept: Tokens after it.
    """

    embeddings: Tensor
    positions: Tensor
    modality: Tensor
    scores: Tensor
    kept: Tensor
    start_s: float
    next_position: int
    counts_in: TokenCounts
    counts_kept: TokenCounts


__all__ = ["CompressedChunk", "Modality", "TokenChunk", "TokenCounts"]
