import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.scores import BLOCK_BYTES, spatial_redundancy, temporal_redundancy

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def random_grids(seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    grids = torch.randn(2, 3, 7, 16, generator=generator).to(dtype)
    return grids[0], grids[1]


@DTYPES
@pytest.mark.parametrize("seed", range(3))
def test_spatial_is_the_cosine_with_the_mean_of_the_grid(seed: int, dtype: torch.dtype) -> None:
    grids, _ = random_grids(seed, dtype)

    redundancy = spatial_redundancy(grids)

    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for grid, row in zip(grids.double(), redundancy, strict=True):
        mean = [float(column.mean()) for column in grid.T]
        expected = torch.tensor([cosine(token.tolist(), mean) for token in grid])
        torch.testing.assert_close(row, expected, atol=tolerance, rtol=0)


@DTYPES
@pytest.mark.parametrize("seed", range(3))
def test_temporal_is_the_cosine_with_the_same_place(seed: int, dtype: torch.dtype) -> None:
    first, second = random_grids(seed, dtype)

    redundancy = temporal_redundancy(second, first)

    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    pairs = zip(first.double().flatten(0, 1), second.double().flatten(0, 1), strict=True)
    expected = torch.tensor([cosine(a.tolist(), b.tolist()) for a, b in pairs])
    torch.testing.assert_close(redundancy.flatten(), expected, atol=tolerance, rtol=0)


@DTYPES
def test_each_grid_of_a_batch_scores_as_if_alone(dtype: torch.dtype) -> None:
    first, second = random_grids(0, dtype)

    spatial, temporal = spatial_redundancy(first), temporal_redundancy(second, first)

    for row in range(3):
        alone = slice(row, row + 1)
        assert torch.equal(spatial[alone], spatial_redundancy(first[alone]))
        assert torch.equal(temporal[alone], temporal_redundancy(second[alone], first[alone]))


@DTYPES
def test_grid_of_several_blocks_scores_as_in_one(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 150, 1024, generator=generator).to(dtype)
    assert first.numel() * first.element_size() > BLOCK_BYTES

    spatial, temporal = spatial_redundancy(first), temporal_redundancy(second, first)

    mean = first.mean(dim=1, keepdim=True)
    assert torch.equal(spatial, functional.cosine_similarity(first, mean, dim=-1).float())
    assert torch.equal(temporal, functional.cosine_similarity(first, second, dim=-1).float())


@DTYPES
def test_result_is_float32_without_gradient(dtype: torch.dtype) -> None:
    first, second = random_grids(0, dtype)

    results = spatial_redundancy(first.requires_grad_()), temporal_redundancy(second, first)

    assert [(r.dtype, r.requires_grad) for r in results] == [(torch.float32, False)] * 2


def test_zero_vector_is_not_redundant() -> None:
    grid = torch.zeros(1, 2, 4)

    assert spatial_redundancy(grid).tolist() == [[0.0, 0.0]]
    assert temporal_redundancy(grid, grid).tolist() == [[0.0, 0.0]]
