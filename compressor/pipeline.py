"""`TokenCompressor`: video, then audio guided by it, then what is kept of both.

Knows nothing about encoders, sessions or the LLM behind it.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from compressor.assembly import SelectedAudio, Tally, assemble
from compressor.audio import AudioSelector
from compressor.batch import Batch, Request, check_width, group_by_kind
from compressor.config import CompressorConfig
from compressor.hearing import pick_audio
from compressor.keep import straight_through, take
from compressor.live import LivePruner
from compressor.tokens import CompressedChunk, TokenChunk
from compressor.video import PrunedVideo, Pruner, StreamState, VideoPruner

Compressed = tuple[CompressedChunk, StreamState]


class Compressor(Protocol):
    """What OmniSIFT and the methods it is compared with have in common."""

    def compress(self, chunk: TokenChunk, state: StreamState | None = None) -> Compressed:
        """See `TokenCompressor.compress`."""
        ...

    def compress_batch(
        self, chunks: Sequence[TokenChunk], states: Sequence[StreamState | None]
    ) -> list[Compressed]:
        """See `TokenCompressor.compress_batch`."""
        ...


class TokenCompressor(nn.Module):
    """Prunes chunks by OmniSIFT.

    Video goes through STVP (`VideoPruner`, or `LivePruner` where the configuration compares
    chunks); the video within budget guides VGAS (`selector`), whose best-scored audio tokens are
    kept (`pick_audio`: in a live profile fewer where nothing is heard); what is kept is passed on
    unmodified and in order. Edge rules:

    - No video: all audio is kept, with score 1; the selector has nothing to be guided by.
    - No audio: the video is pruned as ever.
    - One audio token: kept, as by the rounding rule.
    - No tokens: an empty result.
    - Grids odd in number or unequal in size: see `VideoPruner` and `LivePruner`.

    Starts in eval mode. In train mode a straight-through estimator lets gradient reach the selector
    through the kept audio embeddings, and `scores` of audio carry gradient; values are the same in
    both modes, bit for bit.

    Attributes:
        config: What it was built from.
        selector: The audio selector; the only parameters. May be shared between compressors whose
            profiles differ.
    """

    def __init__(self, config: CompressorConfig, selector: AudioSelector | None = None) -> None:
        super().__init__()
        self.config = config
        self.selector = AudioSelector(config) if selector is None else selector
        rules = config.cross_chunk
        self._pruner: Pruner = LivePruner(config, rules) if rules else VideoPruner(config)
        self.eval()

    def compress(self, chunk: TokenChunk, state: StreamState | None = None) -> Compressed:
        """Compress one chunk.

        Args:
            chunk: Not modified, and nothing returned shares its memory.
            state: What the previous chunk of the same stream returned; None at a stream's start.

        Returns:
            The compressed chunk and the state for the next one.

        Raises:
            ValueError: If the width is not the configured one, or a value is NaN or infinite (see
                `CompressorConfig.is_checked_finite`).
        """
        return self.compress_batch([chunk], [state])[0]

    def compress_batch(
        self, chunks: Sequence[TokenChunk], states: Sequence[StreamState | None]
    ) -> list[Compressed]:
        """Compress chunks of different streams, those of equal shapes in one go.

        Equal to a loop over `compress`. The results of equal shapes are views of common memory. In
        host memory large groups are cut (`compressor.batch.HOST_BATCH_BYTES`).
        The host waits for the device once per group of equal shapes for each of: the finite check,
        positions that live on the device, and the counts of a live profile. With none of these, as
        with a paper profile, CPU positions and no check, it does not wait.

        Args:
            chunks: At most one per stream.
            states: Of the same length; see `compress`.

        Returns:
            One pair per chunk, in the order given.

        Raises:
            ValueError: As `compress`, naming the chunk by its place; none of the batch is done.
        """
        requests = [
            self._request(place, chunk, state or StreamState())
            for place, (chunk, state) in enumerate(zip(chunks, states, strict=True))
        ]
        results: dict[int, Compressed] = {}
        for batch in group_by_kind(requests):
            done = self._compress_alike(batch)
            results.update(zip((one.place for one in batch.requests), done, strict=True))
        return [results[place] for place in range(len(requests))]

    def _request(self, place: int, chunk: TokenChunk, state: StreamState) -> Request:
        check_width(place, chunk, self.config.hidden_size)
        return Request(place, chunk, state, self._pruner.reference(chunk, state))

    def _compress_alike(self, batch: Batch) -> list[Compressed]:
        if batch.grids:
            video = self._pruner.prune(batch.grids, batch.reference)
        else:
            video = PrunedVideo.empty(batch.audio)
        audio = self._select_audio(video.embeddings, batch.audio)
        if self.config.is_checked_finite and not _is_surely_finite(video, audio):
            batch.check_finite()
        tally = Tally.of(video, audio)
        states = [
            self._pruner.advance(one.chunk, one.state, is_fresh=is_fresh)
            for one, is_fresh in zip(batch.requests, tally.is_fresh, strict=True)
        ]
        return list(zip(assemble(batch, video, audio, tally), states, strict=True))

    def _select_audio(self, guide: Tensor, audio: Tensor) -> SelectedAudio:
        if guide.shape[1] == 0 or audio.shape[1] == 0:
            return SelectedAudio.all_of(audio)
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            scores = self.selector(guide, audio).float()
        index, is_kept = pick_audio(scores.detach(), self.config)
        embeddings, scores = take(audio, index), take(scores, index)
        if self.training:
            embeddings = straight_through(embeddings, scores)
        return SelectedAudio(embeddings, index, scores, is_kept)


@torch.no_grad()
def _is_surely_finite(video: PrunedVideo, audio: SelectedAudio) -> bool:
    """Say whether the scores vouch for all embeddings behind them; waits for the device.

    The score of a value that is not finite is NaN, and NaN ranks first: it is among the scores of
    what is within budget, whether kept or not. Audio that no video guides has no scores of its own.
    """
    has_video = video.scores.shape[1] > 0
    return has_video and math.isfinite(video.scores.sum() + audio.scores.sum())


__all__ = ["Compressor", "StreamState", "TokenCompressor"]
