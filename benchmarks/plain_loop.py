"""Token compression as the official code writes it: chunk by chunk, decision by decision.

What `compressor.TokenCompressor` is timed against. Input, maths and the selector's weights are the
same; the shape is the official one: a chunk as a sequence of tokens with ids and masks, a Python
loop over chunks and over grids, indices by `nonzero`, drops by `topk`, one selector call per chunk,
values read back to the host. Kinder than the original: masks span one chunk, not a whole clip;
position ids are on the device; nothing is printed; the straight-through factor, which is 1 at
inference, is left out. Knows nothing about batches.

Source: OmniSIFT (arXiv 2602.04804), code dingyue772/OmniSIFT at 055fdd2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig
from compressor.tokens import TokenChunk


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """What is left of a chunk: kept rows and ids, the mask `[N]`, tokens kept by modality."""

    embeddings: Tensor
    positions: Tensor
    is_kept: Tensor
    num_video: int
    num_audio: int


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """A chunk in sequence: `[N, D]`, time ids `[N]`, masks of the modalities `[N]`."""

    embeddings: Tensor
    time_ids: Tensor
    is_video: Tensor
    is_audio: Tensor


class PlainLoop:
    """Compresses chunks one after another."""

    def __init__(self, selector: AudioSelector, config: CompressorConfig) -> None:
        """Prepare.

        Args:
            selector: Its layers are used, its `forward` is not.
            config: Ratios; the official code is given the removed shares.
        """
        self._layers = selector
        self._video_drop_ratio = round(1 - config.video_keep_ratio, 9)
        self._audio_drop_ratio = round(1 - config.audio_keep_ratio, 9)

    @torch.no_grad()
    def run(self, chunks: Sequence[TokenChunk]) -> list[Pruned]:
        """Compress each; positions are on the device of the embeddings."""
        return [self._prune(chunk) for chunk in chunks]

    def _prune(self, chunk: TokenChunk) -> Pruned:
        tokens = _in_sequence(chunk)
        is_kept = torch.ones_like(tokens.is_video)
        time_ids = tokens.time_ids
        times = sorted(torch.unique(time_ids[tokens.is_video]).tolist())
        for number in range(0, len(times), 2):
            pair = times[number : number + 2]
            is_last = number + 2 >= len(times)
            end = time_ids.max().item() + 1 if is_last else times[number + 2]
            self._prune_video(tokens, pair, is_kept)
            self._prune_audio(tokens, (time_ids >= pair[0]) & (time_ids < end), is_kept)
        return Pruned(
            embeddings=tokens.embeddings[is_kept],
            positions=chunk.positions[:, is_kept],
            is_kept=is_kept,
            num_video=int((is_kept & tokens.is_video).sum().item()),
            num_audio=int((is_kept & tokens.is_audio).sum().item()),
        )

    def _prune_video(self, tokens: _Tokens, pair: Sequence[int], is_kept: Tensor) -> None:
        first = _find((tokens.time_ids == pair[0]) & tokens.is_video)
        num_drop = int(len(first) * self._video_drop_ratio)
        if num_drop == 0:
            return
        grid = tokens.embeddings[first]
        _drop(is_kept, first, _similarity(grid, grid.mean(dim=0, keepdim=True)), num_drop)
        if len(pair) == 1:
            return
        second = _find((tokens.time_ids == pair[1]) & tokens.is_video)
        if len(second) == len(first):
            before, after = tokens.embeddings[first], tokens.embeddings[second]
            _drop(is_kept, second, _similarity(before, after), num_drop)

    def _prune_audio(self, tokens: _Tokens, is_in_group: Tensor, is_kept: Tensor) -> None:
        audio = _find(is_in_group & tokens.is_audio)
        guide = _find(is_in_group & tokens.is_video & is_kept)
        if len(guide) == 0 or len(audio) < 2:
            return
        scores = self._score(tokens.embeddings[guide], tokens.embeddings[audio])
        num_keep = len(audio) - int(len(audio) * self._audio_drop_ratio)
        chosen = torch.topk(scores, k=num_keep).indices
        hard = torch.zeros_like(scores).scatter_(0, chosen, 1.0)
        is_kept[audio[_find(hard == 0)]] = False

    def _score(self, video: Tensor, audio: Tensor) -> Tensor:
        """Score audio `[A, D]` by video `[V, D]`: `[A]`."""
        layers, dtype = self._layers, self._layers.v_proj.weight.dtype
        guide = layers.v_norm(layers.v_proj(video.to(dtype))).unsqueeze(0)
        asked = layers.a_norm(layers.a_proj(audio.to(dtype))).unsqueeze(0)
        answer, _ = layers.cross_attn(query=asked, key=guide, value=guide)
        scores: Tensor = layers.score_head(layers.post_attn_norm(answer + asked))
        return scores.squeeze(0).squeeze(-1).sigmoid()


def _in_sequence(chunk: TokenChunk) -> _Tokens:
    embeddings = torch.cat([*chunk.grids, chunk.audio])
    is_video = torch.arange(len(embeddings), device=embeddings.device) < chunk.counts.video
    return _Tokens(embeddings, chunk.positions[0], is_video, ~is_video)


def _find(mask: Tensor) -> Tensor:
    return torch.nonzero(mask, as_tuple=True)[0]


def _similarity(tokens: Tensor, reference: Tensor) -> Tensor:
    return functional.cosine_similarity(tokens, reference, dim=-1)


def _drop(is_kept: Tensor, index: Tensor, similarity: Tensor, num_drop: int) -> None:
    is_kept[index[torch.topk(similarity, k=num_drop).indices]] = False


__all__ = ["PlainLoop", "Pruned"]
