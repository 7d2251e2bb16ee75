import pytest
import torch

from benchmarks.chunks import ChunkShape, make_compressed, make_media
from compressor.config import CompressorConfig
from compressor.pipeline import TokenCompressor
from service.encoder.encoder import OmniEncoder
from tests.benchmarks.small import SMALL


@pytest.mark.parametrize("ratios", [(0.23, 0.5), (0.33, 0.6), (1.0, 1.0)])
def test_shape_is_that_of_what_encoder_and_compressor_make(ratios: tuple[float, float]) -> None:
    shape = ChunkShape(4, *ratios)
    encoder: OmniEncoder = SMALL.encoder()
    compressor = TokenCompressor(CompressorConfig(SMALL.hidden_size, *ratios))

    tokens = encoder.encode([make_media(shape, seed=1)])[0].tokens
    compressed, _ = compressor.compress(tokens)

    made = make_compressed(shape, 0, torch.zeros(shape.num_tokens, SMALL.hidden_size))
    assert tokens.counts == shape.counts_in == made.counts_in
    assert compressed.counts_kept == shape.counts_kept == made.counts_kept
    for name in ("embeddings", "positions", "modality", "scores", "kept"):
        assert getattr(made, name).shape == getattr(compressed, name).shape
    assert made.next_position == compressed.next_position


def test_chunks_follow_each_other() -> None:
    shape = ChunkShape(8)
    embeddings = torch.zeros(shape.num_tokens, 16)
    first, second = (make_compressed(shape, index, embeddings) for index in range(2))

    assert second.start_s - first.start_s == 2.0
    assert second.next_position - first.next_position == 50
    assert shape.num_tokens == 55
