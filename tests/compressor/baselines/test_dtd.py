from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.budget import NEW_SALIENCY
from compressor.baselines.dtd import DifferentialTokenDrop, DtdOptions, change
from compressor.config import CompressorConfig
from compressor.tokens import TokenChunk
from compressor.video import StreamState
from tests.tensors import HIDDEN_SIZE, make_positions, make_token_chunk

CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5)


def make_chunk(grids: Sequence[Tensor], start_s: float) -> TokenChunk:
    positions = make_positions([len(grid) for grid in grids], 0, start_s)
    return TokenChunk(tuple(grids), torch.zeros(0, HIDDEN_SIZE), positions, start_s)


def reference_drop(grids: Sequence[Tensor], before: Tensor, num_keep: int) -> list[int]:
    similarity = []
    for number, grid in enumerate(grids):
        previous = before if number == 0 else grids[number - 1]
        similarity += functional.cosine_similarity(previous, grid).tolist()
    falling = sorted(range(len(similarity)), key=lambda i: (-similarity[i], -i))
    return sorted(falling[len(falling) - num_keep :])


@pytest.mark.parametrize("seed", range(5))
def test_kept_video_equals_the_reference(seed: int) -> None:
    dtd = DifferentialTokenDrop(CONFIG, DtdOptions(is_pooled=True))
    first, second = make_token_chunk(seed), make_token_chunk(seed, start_s=2.0)

    _, state = dtd.compress(first)
    result, _ = dtd.compress(second, state)

    kept = [index for index in result.kept.tolist() if index < 24]
    assert kept == reference_drop(second.grids, first.grids[1], 6)


def test_pooled_budget_goes_to_the_busy_grid() -> None:
    pooled = DifferentialTokenDrop(CONFIG, DtdOptions(is_pooled=True))
    scene = make_token_chunk().grids[0]
    busy = scene.flip(-1)
    _, state = pooled.compress(make_chunk([scene, scene], 0.0))

    result, _ = pooled.compress(make_chunk([scene, busy], 2.0), state)

    assert all(index >= 12 for index in result.kept.tolist())


def test_without_pooling_each_grid_keeps_its_own_most_changed() -> None:
    dtd = DifferentialTokenDrop(CONFIG, DtdOptions(is_pooled=False))
    first, second = make_token_chunk(2), make_token_chunk(2, start_s=2.0)
    _, state = dtd.compress(first)

    result, _ = dtd.compress(second, state)

    expected = reference_drop(second.grids[:1], first.grids[1], 3)
    expected += [12 + i for i in reference_drop(second.grids[1:], second.grids[0], 3)]
    assert [index for index in result.kept.tolist() if index < 24] == expected


def test_first_grid_of_a_stream_goes_first_and_is_thinned_evenly() -> None:
    pooled = DifferentialTokenDrop(CONFIG, DtdOptions(is_pooled=True))

    result, _ = pooled.compress(make_token_chunk())

    assert [index for index in result.kept.tolist() if index < 24] == [1, 3, 5, 7, 9, 11]


def test_gap_starts_afresh() -> None:
    dtd, chunk = DifferentialTokenDrop(CONFIG), make_token_chunk(1, start_s=6.0)
    _, state = dtd.compress(make_token_chunk())

    assert torch.equal(dtd.compress(chunk, state)[0].kept, dtd.compress(chunk)[0].kept)


def test_differential_audio_keeps_what_differs_from_the_token_before() -> None:
    dtd = DifferentialTokenDrop(CONFIG, DtdOptions(is_audio_differential=True))
    chunk = make_token_chunk(num_audio=12)

    result, _ = dtd.compress(chunk)

    change = 1 - functional.cosine_similarity(chunk.audio[1:], chunk.audio[:-1])
    expected = [0, *(1 + change.topk(5).indices).tolist()]
    assert [index - 24 for index in result.kept.tolist() if index >= 24] == sorted(expected)


def test_audio_may_be_evenly_spaced() -> None:
    options = DtdOptions(is_audio_differential=False)
    result, _ = DifferentialTokenDrop(CONFIG, options).compress(make_token_chunk())

    assert [index - 24 for index in result.kept.tolist() if index >= 24] == [1, 3, 5, 7, 9]


def test_state_is_the_last_unpruned_grid() -> None:
    chunk = make_token_chunk()

    _, state = DifferentialTokenDrop(CONFIG).compress(chunk)
    _, without_video = DifferentialTokenDrop(CONFIG).compress(
        make_token_chunk(grid_sizes=()), state
    )

    assert state.grid is not None
    assert torch.equal(state.grid, chunk.grids[1])
    assert without_video == StreamState() or without_video.grid is None


def test_change_is_new_without_a_reference_of_the_same_shape() -> None:
    grid = torch.eye(3, HIDDEN_SIZE)

    assert change(grid, None).tolist() == [NEW_SALIENCY] * 3
    assert change(grid, grid[:2]).tolist() == [NEW_SALIENCY] * 3
    assert change(grid, grid).tolist() == [0.0] * 3
    assert change(grid, -grid).tolist() == [2.0] * 3
