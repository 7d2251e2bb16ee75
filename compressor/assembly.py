"""Puts pruned video and selected audio together as `CompressedChunk`s. Scores nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.batch import Batch
from compressor.tokens import CompressedChunk, TokenCounts
from compressor.video import PrunedVideo


@dataclass(frozen=True, slots=True, eq=False)
class SelectedAudio:
    """The audio tokens within budget, of B chunks of equal shapes.

    Attributes:
        embeddings: `[B, K, D]`.
        index: `[B, K]` int64, ascending indices into the chunk's audio tokens.
        scores: `[B, K]` float32.
        is_kept: `[B, K]` bool, the tokens that go on; None: all of them do.
    """

    embeddings: Tensor
    index: Tensor
    scores: Tensor
    is_kept: Tensor | None = None

    @classmethod
    def all_of(cls, audio: Tensor) -> "SelectedAudio":
        """Keep all of `[B, A, D]`, with score 1."""
        num_chunks, num_tokens, _ = audio.shape
        index = torch.arange(num_tokens, device=audio.device).expand(num_chunks, -1)
        return cls(audio, index, torch.ones(num_chunks, num_tokens, device=audio.device))


@dataclass(frozen=True, slots=True)
class Tally:
    """What the host has to know of B pruned chunks.

    Attributes:
        kept: Tokens that go on, of each chunk.
        is_fresh: Whether each chunk is; see `PrunedVideo`.
    """

    kept: tuple[TokenCounts, ...]
    is_fresh: tuple[bool, ...]

    @classmethod
    def of(cls, video: PrunedVideo, audio: SelectedAudio) -> "Tally":
        """Count. Waits for the device once where counts depend on the scene, else not at all."""
        num_chunks, num_video = video.index.shape
        if video.is_kept is None and video.is_fresh is None and audio.is_kept is None:
            counts = TokenCounts(num_video, audio.index.shape[1])
            return cls((counts,) * num_chunks, (True,) * num_chunks)
        by_part = [kept_flags(part).sum(dim=1) for part in (video, audio)]
        is_fresh = torch.ones_like(by_part[0]) if video.is_fresh is None else video.is_fresh
        rows = torch.stack([*by_part, is_fresh], dim=1).tolist()
        counts_kept = tuple(TokenCounts(*row[:2]) for row in rows)
        return cls(counts_kept, tuple(bool(row[2]) for row in rows))


def kept_flags(part: PrunedVideo | SelectedAudio) -> Tensor:
    """Spell out which tokens within budget go on: `[B, K]` bool."""
    return torch.ones_like(part.index, dtype=torch.bool) if part.is_kept is None else part.is_kept


def assemble(
    batch: Batch, video: PrunedVideo, audio: SelectedAudio, tally: Tally
) -> list[CompressedChunk]:
    """Join both modalities of each of B chunks; counts may differ from chunk to chunk.

    Args:
        batch: The chunks.
        video: Their video within budget.
        audio: Their audio within budget.
        tally: Of the two.

    Returns:
        B chunks whose tensors are views of memory common to the batch, none of it the input's.
    """
    next_positions = batch.next_positions()
    parts = _split(batch, video, audio, tally)
    rows = zip(batch.requests, tally.kept, next_positions, *parts, strict=True)
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
            counts_kept=counts_kept,
        )
        for request, counts_kept, next_position, embeddings, positions, modality, scores, kept in (
            rows
        )
    ]


def _split(
    batch: Batch, video: PrunedVideo, audio: SelectedAudio, tally: Tally
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
    if video.is_kept is None and audio.is_kept is None:
        embeddings, *others = (tensor.unbind(0) for tensor in tokens)
        return embeddings, positions.unbind(0), *others
    is_kept = torch.cat([kept_flags(video), kept_flags(audio)], dim=1)
    counts = [counts_kept.total for counts_kept in tally.kept]
    embeddings, *others = (tensor[is_kept].split_with_sizes(counts) for tensor in tokens)
    columns = positions.transpose(1, 2)[is_kept].split_with_sizes(counts)
    return embeddings, tuple(part.T.contiguous() for part in columns), *others


__all__ = ["SelectedAudio", "Tally", "assemble", "kept_flags"]
