"""The paper's ablation: OmniSIFT with an audio selector that does not see the video."""

import torch

from compressor.audio import AudioSelector
from compressor.baselines.baseline import Baseline, Kept
from compressor.config import CompressorConfig
from compressor.keep import keep_top, straight_through
from compressor.tokens import TokenChunk
from compressor.video import StreamState, VideoPruner


class AudioOnlySelector(Baseline):
    """Prunes video as published; audio tokens are scored by the audio of their chunk alone.

    The selector is OmniSIFT's own layer, with the chunk's audio in place of the kept video as keys
    and values (so `v_proj` and `v_norm` see audio): the same parameters, nothing but the guide
    taken away. It has to be trained for this use; in train mode it is, by the same straight-through
    estimator. Kept rows are unmodified. Sees a chunk only, so it is causal as it is. Knobs: none
    but the keep ratios. Video counts are `VideoPruner`'s.

    Source: "audio-only selector" in the ablation of OmniSIFT (arXiv 2602.04804), whose exact form
        the paper does not give.
    """

    def __init__(self, config: CompressorConfig, selector: AudioSelector | None = None) -> None:
        super().__init__(config)
        self.selector = AudioSelector(config) if selector is None else selector
        self._pruner = VideoPruner(config)
        self.eval()

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        pruned = self._pruner.prune([grid.unsqueeze(0) for grid in chunk.grids], None)
        return Kept(pruned.index[0], pruned.scores[0], pruned.embeddings[0])

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        audio = chunk.audio.unsqueeze(0)
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            scores = self.selector(audio, audio).float()
        index = keep_top(scores.detach(), num_keep)[0]
        kept = Kept.rows(chunk.audio, index, scores[0])
        if not self.training:
            return kept
        embeddings = straight_through(kept.embeddings.unsqueeze(0), kept.scores.unsqueeze(0))[0]
        return Kept(kept.index, kept.scores, embeddings)


__all__ = ["AudioOnlySelector"]
