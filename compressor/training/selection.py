"""OmniSIFT on whole clips at once, for training: the library's rules, batched over chunks.

Chooses exactly the tokens that `TokenCompressor` chooses chunk by chunk, and lets gradient reach
the selector. Knows nothing about questions.
"""

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.keep import keep_top, num_kept, straight_through, take
from compressor.live import LivePruner
from compressor.training.student import GRID, Kept, Tokens
from compressor.video import PrunedVideo, VideoPruner


class Rule(Enum):
    """How tokens are chosen during a step."""

    FULL = "full"
    OMNISIFT = "omnisift"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens a step keeps.

    Attributes:
        rule: By what.
        video_keep_ratio: Kept / total of each grid.
        audio_keep_ratio: Kept / total of the audio.
        cross_chunk: Rules of the live profile; None: each chunk by itself.
    """

    rule: Rule
    video_keep_ratio: float = 1.0
    audio_keep_ratio: float = 1.0
    cross_chunk: CrossChunkConfig | None = None


def select(tokens: Tokens, budget: Budget, selector: AudioSelector) -> tuple[Kept, Tensor]:
    """Choose tokens of B clips.

    Returns:
        What is kept, and the selector's scores of all audio tokens `[B * C, 50]` (zeros where it
        was not asked).
    """
    num_chunks = tokens.video.shape[1]
    video = tokens.video.flatten(0, 1)
    audio = tokens.audio.flatten(0, 1)
    if budget.rule is Rule.RANDOM:
        pruned, scores = _random_video(video, budget), torch.rand_like(audio[..., 0]).float()
    else:
        pruned = _prune(video, num_chunks, budget)
        scores = selector(pruned.embeddings, audio).float()
    num_audio = num_kept(audio.shape[1], budget.audio_keep_ratio)
    heard = keep_top(scores.detach(), num_audio)
    embeddings = take(audio, heard)
    if budget.rule is Rule.OMNISIFT:
        embeddings = straight_through(embeddings, take(scores, heard))
    kept = _gather(pruned, embeddings, heard, num_chunks)
    return kept, scores


def _prune(video: Tensor, num_chunks: int, budget: Budget) -> PrunedVideo:
    config = CompressorConfig(video.shape[-1], budget.video_keep_ratio, budget.audio_keep_ratio)
    if budget.cross_chunk is None:
        return VideoPruner(config).prune([video[:, 0], video[:, 1]], None)
    return _prune_live(video, num_chunks, config, budget.cross_chunk)


def _prune_live(
    video: Tensor, num_chunks: int, config: CompressorConfig, rules: CrossChunkConfig
) -> PrunedVideo:
    """Live pruning of all chunks at once, as if each clip's first chunk were a stream's first.

    The periodic refresh is left out: it needs the chunks in turn and changes one grid in thirty.
    """
    pruner = LivePruner(config, rules)
    number = torch.arange(len(video), device=video.device) % num_chunks
    first, later = (number == 0).nonzero()[:, 0], (number > 0).nonzero()[:, 0]
    opening = pruner.prune([video[first, 0], video[first, 1]], None)
    if len(later) == 0:
        return opening
    following = pruner.prune([video[later, 0], video[later, 1]], video[later - 1, 1])
    order = torch.cat([first, later]).argsort()
    return PrunedVideo(
        embeddings=torch.cat([opening.embeddings, following.embeddings])[order],
        index=torch.cat([opening.index, following.index])[order],
        scores=torch.cat([opening.scores, following.scores])[order],
        is_kept=torch.cat([_flags(opening), _flags(following)])[order],
        num_kept=(),
        is_fresh=(),
    )


def _flags(pruned: PrunedVideo) -> Tensor:
    everything = torch.ones_like(pruned.index, dtype=torch.bool)
    return everything if pruned.is_kept is None else pruned.is_kept


def _random_video(video: Tensor, budget: Budget) -> PrunedVideo:
    number = num_kept(GRID, budget.video_keep_ratio)
    scores = torch.rand(video.shape[0] * 2, GRID, device=video.device)
    index = keep_top(scores, number).view(len(video), 2, number)
    index = (index + torch.tensor([[0], [GRID]], device=video.device)).flatten(1)
    embeddings = take(video.flatten(1, 2), index)
    return PrunedVideo(embeddings, index, torch.zeros_like(index).float(), None, (), ())


def _gather(pruned: PrunedVideo, audio: Tensor, heard: Tensor, num_chunks: int) -> Kept:
    chunk_tokens = 2 * GRID + 50
    index = torch.cat([pruned.index, heard + 2 * GRID], dim=1)
    seen = torch.cat([_flags(pruned), torch.ones_like(heard, dtype=torch.bool)], dim=1)
    start = torch.arange(len(index), device=index.device) % num_chunks * chunk_tokens
    by_clip = (len(index) // num_chunks, -1)
    index = (index + start[:, None]).view(by_clip)
    seen = seen.view(by_clip)
    embeddings = torch.cat([pruned.embeddings, audio], dim=1)
    embeddings = embeddings.reshape(*by_clip, embeddings.shape[-1])
    if pruned.is_kept is None:
        return Kept(embeddings, index, seen)
    return _compact(Kept(embeddings, index, seen))


def _compact(kept: Kept) -> Kept:
    """Move tokens that do not exist to the end and cut what no clip needs."""
    order = (~kept.seen).int().argsort(dim=1, stable=True)[:, : int(kept.seen.sum(1).max())]
    return Kept(take(kept.embeddings, order), take(kept.index, order), take(kept.seen, order))


__all__ = ["Budget", "Rule", "select"]
