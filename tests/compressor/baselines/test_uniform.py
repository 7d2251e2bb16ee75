import torch

from compressor.baselines.uniform import UniformDrop, UniformOptions, even_video
from compressor.config import CompressorConfig
from tests.tensors import HIDDEN_SIZE, make_token_chunk


def test_tokens_are_evenly_spaced_in_each_grid_and_in_audio() -> None:
    chunk = make_token_chunk(grid_sizes=(12, 12), num_audio=10)

    uniform = UniformDrop(CompressorConfig(HIDDEN_SIZE, 0.25, 0.5), UniformOptions(phase=0.5))
    result, _ = uniform.compress(chunk)

    assert result.kept.tolist() == [2, 6, 10, 14, 18, 22, 25, 27, 29, 31, 33]
    assert torch.equal(result.scores, torch.ones(11))


def test_phase_moves_the_kept_tokens() -> None:
    uniform = UniformDrop(CompressorConfig(HIDDEN_SIZE, 0.25, 0.5), UniformOptions(phase=0.0))

    result, _ = uniform.compress(make_token_chunk(grid_sizes=(12,), num_audio=10))

    assert result.kept.tolist() == [0, 4, 8, 12, 14, 16, 18, 20]


def test_content_does_not_matter() -> None:
    uniform = UniformDrop(CompressorConfig(HIDDEN_SIZE, 0.25, 0.5))

    one, _ = uniform.compress(make_token_chunk(0))
    other, _ = uniform.compress(make_token_chunk(1))

    assert torch.equal(one.kept, other.kept)


def test_even_video_counts_grid_by_grid() -> None:
    chunk = make_token_chunk(grid_sizes=(4, 6))

    assert even_video(chunk, [1, 3]).tolist() == [2, 5, 7, 9]
