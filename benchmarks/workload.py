"""Chunks of made-up embeddings at the widths that are measured. Times nothing."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.hardware import Hardware
from compressor.config import CompressorConfig, SelectorConfig
from compressor.keep import num_kept
from compressor.omni.checkpoint import load_config, selector_config
from compressor.omni.positions import chunk_positions
from compressor.tokens import TokenChunk
from compressor.weights import EMBEDDED_MODEL

PROFILE = "paper-25"
NUM_GRIDS = 2
NUM_AUDIO_TOKENS = 50
CHUNK_S = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """What has to be done for a chunk, however it is done.

    Attributes:
        flops: Operations of the matrix products, multiplications and additions counted apart.
        num_bytes: Every input read once and every output written once.
    """

    flops: float
    num_bytes: float

    def floor_s(self, hardware: Hardware) -> float:
        """The larger of both at the measured rates: they may overlap, neither can be beaten."""
        return max(self.flops / hardware.flops, self.num_bytes / hardware.bytes_per_s)


@dataclass(frozen=True, slots=True)
class Workload:
    """Chunks of one width and size.

    Attributes:
        name: In tables.
        hidden_size: D.
        side: Rows, and columns, of a grid.
        selector: Size of the audio selector.
        dtype: Of the embeddings.
    """

    name: str
    hidden_size: int
    side: int
    selector: SelectorConfig
    dtype: torch.dtype

    @property
    def config(self) -> CompressorConfig:
        """Ratios and width."""
        return CompressorConfig.from_profile(
            PROFILE, hidden_size=self.hidden_size, selector=self.selector
        )

    @property
    def num_tokens(self) -> int:
        """Tokens of a chunk."""
        return NUM_GRIDS * self.side**2 + NUM_AUDIO_TOKENS

    @property
    def kept_video(self) -> int:
        """Video tokens kept of a chunk."""
        return NUM_GRIDS * num_kept(self.side**2, self.config.video_keep_ratio)

    @property
    def num_dropped(self) -> int:
        """Tokens that the LLM need not prefill, of a chunk."""
        kept_audio = num_kept(NUM_AUDIO_TOKENS, self.config.audio_keep_ratio)
        return self.num_tokens - self.kept_video - kept_audio

    @property
    def work(self) -> Work:
        """Products of the selector; all tokens read, those kept written. One chunk.

        The weights are left out: a batch shares them.
        """
        video, audio, size = self.kept_video, NUM_AUDIO_TOKENS, self.selector
        products = [
            (video + audio) * self.hidden_size * size.width,  # projections to the selector
            (2 * audio + 2 * video) * size.width**2,  # queries, output, keys, values
            2 * audio * video * size.width,  # attention
            audio * size.head_width * (size.width + 1),  # score head
        ]
        num_rows = 2 * self.num_tokens - self.num_dropped
        return Work(2 * sum(products), num_rows * self.hidden_size * self.dtype.itemsize)

    def chunks(self, count: int, device: torch.device) -> list[TokenChunk]:
        """Draw float32 chunks, the same everywhere.

        The second grid is the first with every token changed by a different amount. Position ids
        stay in host memory, as in the service.
        """
        generator = torch.Generator().manual_seed(0)
        return [self._chunk(number * CHUNK_S, generator, device) for number in range(count)]

    def _chunk(
        self, start_s: float, generator: torch.Generator, device: torch.device
    ) -> TokenChunk:
        num_patches = self.side**2
        noise = torch.randn(self.num_tokens, self.hidden_size, generator=generator)
        change = torch.rand(num_patches, 1, generator=generator).square()
        first, second, audio = noise.split_with_sizes([num_patches, num_patches, NUM_AUDIO_TOKENS])
        sizes = [(self.side, self.side)] * NUM_GRIDS
        return TokenChunk(
            video=torch.stack([first, first + change * second]).to(device),
            audio=audio.to(device),
            positions=chunk_positions(start_s, sizes, NUM_AUDIO_TOKENS),
            start_s=start_s,
        )


def in_dtype(chunk: TokenChunk, dtype: torch.dtype) -> TokenChunk:
    """Convert the embeddings of a chunk of equal grids; those of that dtype are not copied."""
    assert isinstance(chunk.video, Tensor)
    return replace(chunk, video=chunk.video.to(dtype), audio=chunk.audio.to(dtype))


def embedded() -> Workload:
    """The model that the repository ships, in float32 on any device: 64 tokens per grid."""
    thinker = load_config(EMBEDDED_MODEL)
    hidden_size = int(thinker.get_text_config().hidden_size)
    return Workload("embedded", hidden_size, 8, selector_config(thinker), torch.float32)


def seven_b(dtype: torch.dtype) -> Workload:
    """Qwen2.5-Omni-7B with the published selector: 256 tokens per grid."""
    return Workload("7b", 3584, 16, SelectorConfig(), dtype)


__all__ = ["Work", "Workload", "embedded", "in_dtype", "seven_b"]
