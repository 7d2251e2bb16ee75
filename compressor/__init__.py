"""OmniSIFT token compression for live audio-video streams: tensors in, tensors out.

Shape letters used in every docstring of this package: `B` batch, `T` temporal grids of a chunk,
`P` patches (tokens) per grid, `A` audio tokens, `N` tokens in (all grids, then audio), `K` tokens
kept, `D` hidden size, `F` mel frames, `S` samples. `keep_ratio` is always kept / total.
"""

from compressor.audio import AudioSelector
from compressor.config import PROFILE_NAMES, CompressorConfig, CrossChunkConfig, SelectorConfig
from compressor.pipeline import Compressor, TokenCompressor
from compressor.tokens import CompressedChunk, Modality, TokenChunk, TokenCounts
from compressor.video import StreamState

__all__ = [
    "PROFILE_NAMES",
    "AudioSelector",
    "CompressedChunk",
    "Compressor",
    "CompressorConfig",
    "CrossChunkConfig",
    "Modality",
    "SelectorConfig",
    "StreamState",
    "TokenChunk",
    "TokenCompressor",
    "TokenCounts",
]
