"""Streams of encoded chunks and small compressors, the same for the same seed."""

from dataclasses import replace

from torch import Tensor

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig, SelectorConfig
from compressor.pipeline import TokenCompressor
from service.media.chunk import CHUNK_S, EncodedChunk, Gap
from tests.tensors import HIDDEN_SIZE, make_token_chunk

# some of the audio is scored above this, most of it below
SIZES = SelectorConfig(width=16, heads=2, head_width=8, quiet_score=0.55)


def make_selector() -> AudioSelector:
    config = CompressorConfig.from_profile("full", hidden_size=HIDDEN_SIZE, selector=SIZES)
    return AudioSelector(config).requires_grad_(False).eval()


def make_compressor(profile: str = "paper-25") -> TokenCompressor:
    config = CompressorConfig.from_profile(profile, hidden_size=HIDDEN_SIZE, selector=SIZES)
    return TokenCompressor(config, make_selector())


def make_chunk(index: int, stream: int = 0) -> EncodedChunk:
    """Chunk `index` of a stream; every third has no audio."""
    num_audio = 0 if index % 3 == 2 else 10
    tokens = make_token_chunk(1000 * stream + index, num_audio=num_audio, start_s=index * CHUNK_S)
    gaps = () if num_audio else (Gap("audio", index * CHUNK_S, CHUNK_S),)
    return EncodedChunk(index, tokens, ((3, 4), (3, 4)), gaps)


def make_still_chunk(index: int) -> EncodedChunk:
    """Chunk `index` of a stream whose picture hardly changes, so that the one before it matters."""
    chunk = make_chunk(index)
    scene = make_token_chunk(0).video
    assert isinstance(scene, Tensor)
    video = scene[:1].repeat(2, 1, 1)
    video[:, index % video.shape[1]] += 1.0
    return replace(chunk, tokens=replace(chunk.tokens, video=video))
