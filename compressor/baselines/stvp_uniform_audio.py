"""OmniSIFT's video pruning with evenly spaced audio: what the learned selector adds to it."""

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.uniform import UniformOptions
from compressor.config import CompressorConfig
from compressor.keep import evenly_spaced
from compressor.tokens import TokenChunk
from compressor.video import StreamState, VideoPruner


class StvpUniformAudio(Baseline):
    """Prunes video as published and keeps audio tokens at even distances in time.

    Kept rows are unmodified; audio scores are 1. Sees a chunk only, so it is causal as it is.
    Knobs: `UniformOptions`. Video counts are `VideoPruner`'s, a second grid of another size
    included.

    Source: next to "random audio tokens" in the ablation of OmniSIFT (arXiv 2602.04804), but spread
        evenly, which is the stronger of the two.
    """

    def __init__(self, config: CompressorConfig, options: UniformOptions | None = None) -> None:
        super().__init__(config)
        self._phase = (options or UniformOptions()).phase
        self._pruner = VideoPruner(config)

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        pruned = self._pruner.prune([grid.unsqueeze(0) for grid in chunk.grids], None)
        return Kept(pruned.index[0], pruned.scores[0], pruned.embeddings[0])

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        return Kept.rows(chunk.audio, evenly_spaced(len(chunk.audio), num_keep, self._phase))


__all__ = ["StvpUniformAudio"]
