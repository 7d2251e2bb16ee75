import torch

from compressor.baselines.stvp_uniform_audio import StvpUniformAudio
from compressor.baselines.uniform import UniformOptions
from compressor.config import CompressorConfig
from compressor.pipeline import TokenCompressor
from tests.tensors import HIDDEN_SIZE, make_token_chunk

CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5)


def test_video_is_omnisifts_and_audio_evenly_spaced() -> None:
    chunk = make_token_chunk()

    result, _ = StvpUniformAudio(CONFIG, UniformOptions(phase=0.5)).compress(chunk)

    omnisift, _ = TokenCompressor(CONFIG).compress(chunk)
    assert torch.equal(result.kept[:6], omnisift.kept[:6])
    assert torch.equal(result.scores[:6], omnisift.scores[:6])
    assert [index - 24 for index in result.kept[6:].tolist()] == [1, 3, 5, 7, 9]


def test_phase_moves_the_kept_audio() -> None:
    result, _ = StvpUniformAudio(CONFIG, UniformOptions(phase=0.0)).compress(make_token_chunk())

    assert [index - 24 for index in result.kept[6:].tolist()] == [0, 2, 4, 6, 8]


def test_second_grid_of_another_size_is_kept_whole() -> None:
    result, _ = StvpUniformAudio(CONFIG).compress(make_token_chunk(grid_sizes=(12, 5)))

    assert result.counts_kept.video == 3 + 5
