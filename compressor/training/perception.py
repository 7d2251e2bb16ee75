"""What single tokens show: the targets and losses of the training-only heads.

Knows nothing about questions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.training.batches import FRAMES_PER_S, Batch
from compressor.training.binding import HEAD_WEIGHTS, IGNORED
from compressor.training.scenes import OTHER
from compressor.training.student import GRID, Kept, Tokens
from compressor.training.towers import GRID_TOKENS

_TOKEN_PX = 28
_NEAR_PX = 26.0  # centre of a token this close to a thing: it may show part of it
_NOTHING_WEIGHT = 0.1  # most tokens show nothing


def seen_labels(batch: Batch, num_grids: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Colour and shape per video token: `[G, 64]` each, 0 for nothing, `IGNORED` near a thing."""
    stamps = torch.from_numpy(batch.frames.stamps).to(device)
    grid = (stamps[:, 0] / FRAMES_PER_S).long()
    cell = (stamps[:, 1:3] / _TOKEN_PX).long().clamp(0, GRID_TOKENS - 1)
    raster = torch.arange(GRID_TOKENS, device=device) * _TOKEN_PX + _TOKEN_PX / 2
    gap_y = (raster - stamps[:, 1:2]).abs()
    gap_x = (raster - stamps[:, 2:3]).abs()
    is_near = (gap_y[:, :, None] < _NEAR_PX) & (gap_x[:, None, :] < _NEAR_PX)  # [M, 8, 8]
    near = torch.zeros(num_grids, GRID, device=device)
    near.index_add_(0, grid, is_near.flatten(1).float())
    labels = torch.where(near > 0, IGNORED, 0)
    colour, shape = labels.clone(), labels
    token = cell[:, 0] * GRID_TOKENS + cell[:, 1]
    named = torch.where(stamps[:, 8] == OTHER, IGNORED, 1 + stamps[:, 8]).long()
    colour[grid, token] = named
    shape[grid, token] = 1 + stamps[:, 4].long()
    return colour, shape


def perception_loss(heads: nn.ModuleDict, tokens: Tokens, batch: Batch) -> tuple[Tensor, Tensor]:
    """Classify single tokens.

    Returns:
        The loss, and the accuracy `[3]` on tokens that show or hold something: colour, shape,
        sound.
    """
    video = tokens.video.flatten(0, 2)
    colour, shape = seen_labels(batch, len(video), video.device)
    heard = torch.from_numpy(batch.heard).to(video.device)
    pairs = [
        (heads["colour"](video), colour),
        (heads["shape"](video), shape),
        (heads["sound"](tokens.audio.flatten(1, 2)), heard),
    ]
    losses = [_weighted(logits, target) for logits, target in pairs]
    rates = [_hit_rate(logits, target) for logits, target in pairs]
    return torch.stack(losses).sum(), torch.stack(rates)


def binding_loss(heads: nn.ModuleDict, middle: Tensor, kept: Kept, bound: Tensor) -> Tensor:
    """Classify middle states of kept tokens `[B, K, D]` by `Batch.bound`; weighted, over heads."""
    targets = bound.gather(2, kept.index.expand(len(bound), -1, -1))
    targets = targets.masked_fill(~kept.seen, IGNORED)
    losses = [
        HEAD_WEIGHTS.get(name, 1.0)
        * F.cross_entropy(head(middle).flatten(0, 1).float(), target.flatten(), reduction="sum")
        / (target != IGNORED).sum().clamp(min=1)
        for (name, head), target in zip(heads.items(), targets, strict=True)
    ]
    return torch.stack(losses).mean()


def event_loss(scores: Tensor, heard: Tensor) -> Tensor:
    """Cross-entropy of the selector's scores `[..., 50]` against the presence of an event."""
    target = heard.view(scores.shape)
    known = target != IGNORED
    is_event = (target > 0).float()
    weight = known * (1.0 + 4.0 * is_event)
    sure = scores.float().clamp(1e-5, 1 - 1e-5)
    losses = -(is_event * sure.log() + (1 - is_event) * (1 - sure).log())
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def _weighted(logits: Tensor, target: Tensor) -> Tensor:
    weight = torch.ones(logits.shape[-1], device=logits.device)
    weight[0] = _NOTHING_WEIGHT
    return F.cross_entropy(
        logits.flatten(0, 1).float(), target.flatten(), weight, ignore_index=IGNORED
    )


@torch.no_grad()
def _hit_rate(logits: Tensor, target: Tensor) -> Tensor:
    shown = target > 0
    hits = (logits.argmax(-1) == target) & shown
    return hits.sum() / shown.sum().clamp(min=1)


__all__ = ["binding_loss", "event_loss", "perception_loss", "seen_labels"]
