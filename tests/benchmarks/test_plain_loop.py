import pytest
import torch

from benchmarks.plain_loop import PlainLoop
from compressor.config import CompressorConfig, SelectorConfig
from compressor.pipeline import TokenCompressor
from tests.tensors import HIDDEN_SIZE, make_token_chunk

SMALL = SelectorConfig(width=32, heads=4, head_width=16)


@pytest.mark.parametrize("profile", ["paper-35", "paper-25", "full"])
@pytest.mark.parametrize(
    ("grid_sizes", "num_audio"),
    [((40, 40), 50), ((40,), 50), ((40, 30), 50), ((9, 9), 1), ((12, 12), 0)],
)
def test_result_equals_the_compressors(
    grid_sizes: tuple[int, ...], num_audio: int, profile: str
) -> None:
    config = CompressorConfig.from_profile(profile, hidden_size=HIDDEN_SIZE, selector=SMALL)
    compressor = TokenCompressor(config)
    chunks = [
        make_token_chunk(seed, grid_sizes=grid_sizes, num_audio=num_audio, start_s=2.0 * seed)
        for seed in range(4)
    ]

    looped = PlainLoop(compressor.selector, config).run(chunks)

    compressed = compressor.compress_batch(chunks, [None] * 4)
    for one, (other, _) in zip(looped, compressed, strict=True):
        assert one.is_kept.nonzero().squeeze(1).tolist() == other.kept.tolist()
        assert torch.equal(one.embeddings, other.embeddings)
        assert torch.equal(one.positions, other.positions)
        assert (one.num_video, one.num_audio) == (
            other.counts_kept.video,
            other.counts_kept.audio,
        )
