"""OmniSIFT on whole clips at once, for training: the library's rules, batched over chunks.

Chooses exactly the tokens that `TokenCompressor` chooses chunk by chunk, and lets gradient reach
the selector. Knows nothing about questions.
"""

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from compressor.assembly import SelectedAudio, kept_flags
from compressor.audio import AudioSelector
from compressor.config import CompressorConfig, CrossChunkConfig, SelectorConfig
from compressor.hearing import pick_audio
from compressor.keep import keep_top, num_kept, straight_through, take
from compressor.live import LivePruner
from compressor.training.student import GRID, Kept, Tokens
from compressor.video import PrunedVideo, VideoPruner

# chosen on validation scenes (docs/experiments.md), for selectors trained with the event loss
QUIET_SCORE = 0.5


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
        quiet_score: With those rules, the score below which audio is dropped as quiet.
    """

    rule: Rule
    video_keep_ratio: float = 1.0
    audio_keep_ratio: float = 1.0
    cross_chunk: CrossChunkConfig | None = None
    quiet_score: float = QUIET_SCORE

    def config(self, hidden_size: int) -> CompressorConfig:
        """Say the same to the library."""
        selector = SelectorConfig(quiet_score=self.quiet_score)
        ratios = (self.video_keep_ratio, self.audio_keep_ratio)
        return CompressorConfig(hidden_size, *ratios, self.cross_chunk, selector)


def select(tokens: Tokens, budget: Budget, selector: AudioSelector) -> tuple[Kept, Tensor]:
    """Choose tokens of B clips.

    Returns:
        What is kept, and the selector's scores of all audio tokens `[B * C, 50]` (zeros where it
        was not asked).
    """
    num_chunks = tokens.video.shape[1]
    video = tokens.video.flatten(0, 1)
    audio = tokens.audio.flatten(0, 1)
    config = budget.config(video.shape[-1])
    if budget.rule is Rule.RANDOM:
        pruned, scores = _random_video(video, budget), torch.rand_like(audio[..., 0]).float()
    else:
        pruned = _prune(video, num_chunks, config)
        scores = selector(pruned.embeddings, audio).float()
    index, is_kept = pick_audio(scores.detach(), config)
    embeddings, heard_scores = take(audio, index), take(scores, index)
    if budget.rule is Rule.OMNISIFT:
        embeddings = straight_through(embeddings, heard_scores)
    heard = SelectedAudio(embeddings, index, heard_scores, is_kept)
    return _gather(pruned, heard, num_chunks), scores


def _prune(video: Tensor, num_chunks: int, config: CompressorConfig) -> PrunedVideo:
    if config.cross_chunk is None:
        return VideoPruner(config).prune([video[:, 0], video[:, 1]], None)
    return _prune_live(video, num_chunks, config, config.cross_chunk)


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
        is_kept=torch.cat([kept_flags(opening), kept_flags(following)])[order],
    )


def _random_video(video: Tensor, budget: Budget) -> PrunedVideo:
    number = num_kept(GRID, budget.video_keep_ratio)
    scores = torch.rand(video.shape[0] * 2, GRID, device=video.device)
    index = keep_top(scores, number).view(len(video), 2, number)
    index = (index + torch.tensor([[0], [GRID]], device=video.device)).flatten(1)
    embeddings = take(video.flatten(1, 2), index)
    return PrunedVideo(embeddings, index, torch.zeros_like(index).float())


def _gather(pruned: PrunedVideo, heard: SelectedAudio, num_chunks: int) -> Kept:
    chunk_tokens = 2 * GRID + 50
    index = torch.cat([pruned.index, heard.index + 2 * GRID], dim=1)
    seen = torch.cat([kept_flags(pruned), kept_flags(heard)], dim=1)
    start = torch.arange(len(index), device=index.device) % num_chunks * chunk_tokens
    by_clip = (len(index) // num_chunks, -1)
    index = (index + start[:, None]).view(by_clip)
    seen = seen.view(by_clip)
    embeddings = torch.cat([pruned.embeddings, heard.embeddings], dim=1)
    embeddings = embeddings.reshape(*by_clip, embeddings.shape[-1])
    if pruned.is_kept is None and heard.is_kept is None:
        return Kept(embeddings, index, seen)
    return _compact(Kept(embeddings, index, seen))


def _compact(kept: Kept) -> Kept:
    """Move tokens that do not exist to the end and cut what no clip needs."""
    order = (~kept.seen).int().argsort(dim=1, stable=True)[:, : int(kept.seen.sum(1).max())]
    return Kept(take(kept.embeddings, order), take(kept.index, order), take(kept.seen, order))


__all__ = ["QUIET_SCORE", "Budget", "Rule", "select"]
