"""Random tokens: what any method must beat. The OmniSIFT paper's own lower bound."""

from random import Random

import torch
from torch import Tensor

from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.budget import grid_budgets
from compressor.config import CompressorConfig
from compressor.tokens import TokenChunk
from compressor.video import StreamState


class RandomDrop(Baseline):
    """Keeps tokens drawn without replacement, in each grid and in audio.

    The draw depends on the seed and on the chunk's start alone: a repeated chunk keeps the same
    tokens, the next one others. Kept rows are unmodified; all scores are 1. Sees a chunk only, so
    it is causal as it is. Knobs: none but the keep ratios.

    Source: "Random" in OmniSIFT (arXiv 2602.04804), Table 1.
    """

    def __init__(self, config: CompressorConfig, seed: int = 0) -> None:
        super().__init__(config)
        self._seed = seed

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """See `Baseline`."""
        draw = self._generator(chunk, "video")
        index, start = [], 0
        for grid, num_keep in zip(chunk.grids, grid_budgets(chunk, self.config), strict=True):
            index.append(start + _draw(len(grid), num_keep, draw))
            start += len(grid)
        return Kept.rows(torch.cat(chunk.grids), torch.cat(index))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """See `Baseline`."""
        draw = self._generator(chunk, "audio")
        return Kept.rows(chunk.audio, _draw(len(chunk.audio), num_keep, draw))

    def _generator(self, chunk: TokenChunk, modality: str) -> torch.Generator:
        # text seeds are hashed: neighbouring chunks draw independently
        seed = Random(f"{self._seed} {chunk.start_s:.3f} {modality}").getrandbits(63)
        return torch.Generator().manual_seed(seed)


def _draw(num_tokens: int, num_keep: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(num_tokens, generator=generator)[:num_keep].sort().values


__all__ = ["RandomDrop"]
