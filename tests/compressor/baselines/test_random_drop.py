import torch

from compressor.baselines.random_drop import RandomDrop
from compressor.config import CompressorConfig
from tests.tensors import HIDDEN_SIZE, make_token_chunk

CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5)


def kept(seed: int, start_s: float) -> list[int]:
    chunk = make_token_chunk(grid_sizes=(40, 40), num_audio=50, start_s=start_s)
    return RandomDrop(CONFIG, seed).compress(chunk)[0].kept.tolist()


def test_draw_repeats_for_the_same_seed_and_chunk() -> None:
    assert kept(0, 2.0) == kept(0, 2.0)


def test_draw_differs_between_chunks_and_seeds() -> None:
    draws = {tuple(kept(seed, start_s)) for seed in range(3) for start_s in (0.0, 2.0, 4.0)}

    assert len(draws) == 9


def test_each_grid_keeps_its_budget() -> None:
    index = torch.tensor(kept(0, 0.0))

    assert int((index < 40).sum()) == 10
    assert int(((index >= 40) & (index < 80)).sum()) == 10


def test_every_token_is_kept_about_as_often() -> None:
    counts = torch.zeros(130)
    for number in range(400):
        counts[kept(0, 2.0 * number)] += 1

    shares = counts / 400
    # 0.022 and 0.025 are standard deviations
    assert bool((shares[:80] - 0.25).abs().max() < 4 * 0.022)
    assert bool((shares[80:] - 0.5).abs().max() < 4 * 0.025)


def test_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()

    kept(0, 0.0)

    assert torch.equal(torch.random.get_rng_state(), before)
