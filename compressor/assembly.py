"""Puts pruned video and selected audio together as `CompressedChunk`s. Scores nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.batch import Batch
from compressor.tokens import CompressedChunk, TokenCounts
from compressor.video import PrunedVideo


@dataclass(frozen=True, slots=True, eq=False)
class SelectedAudio:
    """The audio tokens kept, of B chunks of equal shapes.

    Attributes:
        embeddings: `[B, K, D]`.
        index: `[B, K]` int64, ascending indices into the chunk's audio tokens.
        scores: `[B, K]` float32.
    """

    embeddings: Tensor
    index: Tensor
    scores: Tensor

    @classmethod
    def all_of(cls, audio: Tensor) -> "SelectedAudio":
        """Keep all of `[B, A, D]`, with score 1."""
        num_chunks, num_tokens, _ = audio.shape
        index = torch.arange(num_tokens, device=audio.device).expand(num_chunks, -1)
        return cls(audio, index, torch.ones(num_chunks, num_tokens, device=audio.device))


def assemble(batch: Batch, video: PrunedVideo, audio: SelectedAudio) -> list[CompressedChunk]:
    """Join both modalities of each of B chunks; counts may differ from chunk to chunk.

    Returns:
        B chunks whose tensors are views of memory common to the batch, none of it the input's.
    """
    num_audio, next_positions = audio.index.shape[1], batch.next_positions()
    rows = zip(
        batch.requests, video.num_kept, next_positions, *_split(batch, video, audio), strict=True
    )
    return [
        CompressedChunk(
            embeddings=embeddings,
            positions=positions,
            modality=modality,
            scores=scores,
            kept=kept,
            start_s=request.chunk.start_s,
            next_position=next_position,
            counts_in=batch.counts,
            counts_kept=TokenCounts(num_video, num_audio),
        )
        for request, num_video, next_position, embeddings, positions, modality, scores, kept in rows
    ]


def _split(
    batch: Batch, video: PrunedVideo, audio: SelectedAudio
) -> tuple[tuple[Tensor, ...], ...]:
    """Give embeddings, positions, modality, scores, kept: each as B tensors."""
    kept = torch.cat([video.index, audio.index + batch.counts.video], dim=1)
    positions = batch.positions.to(kept.device, non_blocking=True)
    positions = positions.gather(2, kept.unsqueeze(1).expand(-1, 3, -1))
    # NOTE: a bool as the value of a `Modality`, for which the order of its members counts
    is_audio = kept >= batch.counts.video
    tokens = (
        torch.cat([video.embeddings, audio.embeddings], dim=1),
        is_audio.to(torch.uint8),
        torch.cat([video.scores, audio.scores], dim=1),
        kept,
    )
    if video.is_kept is None:
        embeddings, *others = (tensor.unbind(0) for tensor in tokens)
        return embeddings, positions.unbind(0), *others
    is_kept = torch.cat([video.is_kept, torch.ones_like(audio.index, dtype=torch.bool)], dim=1)
    counts = [num_video + audio.index.shape[1] for num_video in video.num_kept]
    embeddings, *others = (tensor[is_kept].split_with_sizes(counts) for tensor in tokens)
    columns = positions.transpose(1, 2)[is_kept].split_with_sizes(counts)
    return embeddings, tuple(part.T.contiguous() for part in columns), *others


__all__ = ["SelectedAudio", "assemble"]
