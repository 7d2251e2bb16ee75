"""Tokens of one chunk, before and after compression. Knows nothing about how tokens are scored."""

from dataclasses import dataclass
from enum import IntEnum

import torch
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

    Construction checks shapes, dtypes and devices, never values: it costs no pass over the data and
    no wait for the device (`TokenCompressor` looks for NaN).

    Attributes:
        video: `[T, P, D]` at LLM width, one row of P tokens per temporal grid; or a tuple of T
            tensors `[P_t, D]` where a resolution change gave the grids unequal sizes. T may be 0;
            a grid has at least one token.
        audio: `[A, D]`, same dtype, device and D. A may be 0.
        positions: TMRoPE ids `[3, N]` (time, height, width), int64, relative to stream time zero;
            the order of the N tokens is grid 1, grid 2, ..., audio. On the device of the
            embeddings, or on the CPU.
        start_s: Presentation time of the chunk's start, seconds since the stream's start.

    Raises:
        ValueError: On a wrong shape or dtype, or when N does not match `positions`.
    """

    video: Tensor | tuple[Tensor, ...]
    audio: Tensor
    positions: Tensor
    start_s: float

    def __post_init__(self) -> None:
        _check_audio(self.audio)
        if isinstance(self.video, Tensor) and self.video.dim() != 3:
            raise ValueError(f"video must be [T, P, D], got {list(self.video.shape)}")
        grids = self.grids
        if isinstance(self.video, Tensor) and not grids:
            _check_alike("video", self.video, self.audio)
        for index, grid in enumerate(grids):
            _check_grid(index, grid, self.audio)
        _check_positions(self.positions, self.num_tokens, self.audio.device)

    @property
    def grids(self) -> tuple[Tensor, ...]:
        """The T temporal grids, each `[P_t, D]`: views, not copies."""
        return self.video if isinstance(self.video, tuple) else self.video.unbind(0)

    @property
    def counts(self) -> TokenCounts:
        """Tokens by modality."""
        return TokenCounts(sum(len(grid) for grid in self.grids), len(self.audio))

    @property
    def num_tokens(self) -> int:
        """N, video and audio together."""
        return self.counts.total

    @property
    def hidden_size(self) -> int:
        """D, the width of the LLM the tokens are for."""
        return self.audio.shape[1]


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


def _check_audio(audio: Tensor) -> None:
    if audio.dim() != 2:
        raise ValueError(f"audio must be [A, D], got {list(audio.shape)}")
    if not audio.is_floating_point():
        raise ValueError(f"embeddings must be floating point, audio is {audio.dtype}")


def _check_grid(index: int, grid: Tensor, audio: Tensor) -> None:
    if grid.dim() != 2 or len(grid) == 0:
        raise ValueError(f"video grid {index} must be [P, D] with P >= 1, got {list(grid.shape)}")
    _check_alike(f"video grid {index}", grid, audio)


def _check_alike(name: str, video: Tensor, audio: Tensor) -> None:
    if video.shape[-1] != audio.shape[1]:
        raise ValueError(f"{name} has D={video.shape[-1]}, audio has D={audio.shape[1]}")
    if video.dtype != audio.dtype or video.device != audio.device:
        raise ValueError(
            f"{name} is {video.dtype} on {video.device}, audio is {audio.dtype} on {audio.device}"
        )


def _check_positions(positions: Tensor, num_tokens: int, device: torch.device) -> None:
    if positions.shape != (3, num_tokens):
        raise ValueError(
            f"positions must be [3, N] with N={num_tokens} tokens, got {list(positions.shape)}"
        )
    if positions.dtype != torch.int64:
        raise ValueError(f"positions must be torch.int64, got {positions.dtype}")
    if positions.device not in (device, torch.device("cpu")):
        raise ValueError(f"positions are on {positions.device}, embeddings on {device}")


__all__ = ["CompressedChunk", "Modality", "TokenChunk", "TokenCounts"]
