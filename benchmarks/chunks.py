"""Made-up chunks of square pictures with audio. Latency does not depend on what they show."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.keep import num_kept
from compressor.omni.patches import TOKEN_PX
from compressor.omni.positions import chunk_positions
from compressor.tokens import CompressedChunk, Modality, TokenCounts
from service.media.chunk import (
    AUDIO_TOKENS_PER_CHUNK,
    CHUNK_S,
    FRAMES_PER_GRID,
    GRIDS_PER_CHUNK,
    MEL_FRAMES_PER_CHUNK,
    MediaChunk,
)

CHUNKS_PER_MINUTE = 30
MEL_BINS = 128


@dataclass(frozen=True, slots=True)
class ChunkShape:
    """Sizes of a chunk before and after compression.

    Attributes:
        side: Tokens per row, and per column, of a grid: 8 for 224 pixels, 16 for 448.
        video_keep_ratio: Of each grid.
        audio_keep_ratio: Of the audio.
    """

    side: int
    video_keep_ratio: float = 0.23  # these two: the profile `paper-25`
    audio_keep_ratio: float = 0.5

    @property
    def side_px(self) -> int:
        return self.side * TOKEN_PX

    @property
    def counts_in(self) -> TokenCounts:
        """Tokens before compression."""
        return TokenCounts(GRIDS_PER_CHUNK * self.side**2, AUDIO_TOKENS_PER_CHUNK)

    @property
    def counts_kept(self) -> TokenCounts:
        """Tokens after it."""
        return TokenCounts(
            GRIDS_PER_CHUNK * num_kept(self.side**2, self.video_keep_ratio),
            num_kept(AUDIO_TOKENS_PER_CHUNK, self.audio_keep_ratio),
        )

    @property
    def num_tokens(self) -> int:
        """Tokens that reach the LLM."""
        return self.counts_kept.total


def make_compressed(shape: ChunkShape, index: int, embeddings: Tensor) -> CompressedChunk:
    """Make a chunk as a compressor might leave it.

    Args:
        shape: Its sizes.
        index: Its number in the stream.
        embeddings: `[shape.num_tokens, D]`, not copied: drawing them may cost more than appending.
    """
    total, kept_counts = shape.counts_in, shape.counts_kept
    kept = torch.cat(
        [
            torch.linspace(0, total.video - 1, kept_counts.video).long(),
            total.video + torch.linspace(0, total.audio - 1, kept_counts.audio).long(),
        ]
    )
    sizes = [(shape.side, shape.side)] * GRIDS_PER_CHUNK
    ids = chunk_positions(CHUNK_S * index, sizes, total.audio)
    return CompressedChunk(
        embeddings=embeddings,
        positions=ids[:, kept],
        modality=torch.where(kept < total.video, Modality.VIDEO, Modality.AUDIO).to(torch.uint8),
        scores=torch.rand(len(kept)),
        kept=kept,
        start_s=CHUNK_S * index,
        next_position=int(ids.max()) + 1,
        counts_in=total,
        counts_kept=kept_counts,
    )


def make_media(shape: ChunkShape, seed: int) -> MediaChunk:
    """Make a chunk of noise, ready to encode; its index is 0."""
    generator = torch.Generator().manual_seed(seed)
    size = (FRAMES_PER_GRID, 3, shape.side_px, shape.side_px)
    grids = [
        torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
        for _ in range(GRIDS_PER_CHUNK)
    ]
    mel = torch.randn(MEL_BINS, MEL_FRAMES_PER_CHUNK, generator=generator)
    return MediaChunk(index=0, grids=tuple(grids), mel=mel)


__all__ = ["CHUNKS_PER_MINUTE", "ChunkShape", "make_compressed", "make_media"]
