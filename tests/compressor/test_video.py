from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.config import CompressorConfig
from compressor.video import PrunedVideo, StreamState, VideoPruner
from tests.tensors import HIDDEN_SIZE, make_token_chunk

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def make_pruner(keep_ratio: float = 0.23) -> VideoPruner:
    return VideoPruner(CompressorConfig(HIDDEN_SIZE, keep_ratio, 0.5))


def make_grids(seed: int, *sizes: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return make_token_chunk(seed, grid_sizes=sizes, dtype=dtype).grids


def prune(grids: Sequence[Tensor], keep_ratio: float = 0.23) -> PrunedVideo:
    return make_pruner(keep_ratio).prune([grid.unsqueeze(0) for grid in grids], None)


def drop_most_similar(similarity: Tensor, removed_ratio: float) -> list[int]:
    """The official rule, tokens as a list: of equals, the later one is dropped."""
    num_dropped = int(len(similarity) * removed_ratio)
    falling = sorted(range(len(similarity)), key=lambda i: (-float(similarity[i]), -i))
    return sorted(falling[num_dropped:])


def reference_prune(grids: Sequence[Tensor], removed_ratio: float) -> list[int]:
    kept, start = [], 0
    for number, grid in enumerate(grids):
        if number % 2 == 0:
            other = grid.mean(dim=0, keepdim=True)
            local = drop_most_similar(functional.cosine_similarity(grid, other), removed_ratio)
        elif grid.shape == grids[number - 1].shape:
            other = grids[number - 1]
            local = drop_most_similar(functional.cosine_similarity(grid, other), removed_ratio)
        else:
            local = list(range(len(grid)))
        kept += [start + index for index in local]
        start += len(grid)
    return kept


@DTYPES
@pytest.mark.parametrize(
    "sizes", [(40, 40), (40,), (7, 7, 7, 7), (5, 5, 5), (1, 1), (8, 6), (6, 8)]
)
@pytest.mark.parametrize("removed_ratio", [0.67, 0.77, 0.0])
@pytest.mark.parametrize("seed", range(4))
def test_kept_tokens_equal_the_reference(
    seed: int, removed_ratio: float, sizes: tuple[int, ...], dtype: torch.dtype
) -> None:
    grids = make_grids(seed, *sizes, dtype=dtype)

    pruned = prune(grids, 1 - removed_ratio)

    assert pruned.index[0].tolist() == reference_prune(grids, removed_ratio)
    assert torch.equal(pruned.embeddings[0], torch.cat(grids)[pruned.index[0]])


@DTYPES
def test_batch_equals_loop(dtype: torch.dtype) -> None:
    chunks = [make_grids(seed, 30, 30, dtype=dtype) for seed in range(5)]

    together = make_pruner().prune([torch.stack(same) for same in zip(*chunks, strict=True)], None)

    for row, grids in enumerate(chunks):
        alone = prune(grids)
        assert torch.equal(together.index[row], alone.index[0])
        assert torch.equal(together.scores[row], alone.scores[0])


def test_scores_are_saliency_of_the_kept_tokens() -> None:
    first, second = make_grids(0, 12, 12)

    pruned = prune((first, second))

    half = pruned.index.shape[1] // 2
    spatial = 1 - functional.cosine_similarity(first, first.mean(dim=0, keepdim=True))
    temporal = 1 - functional.cosine_similarity(second, first)
    expected = torch.cat([spatial[pruned.index[0, :half]], temporal[pruned.index[0, half:] - 12]])
    assert torch.equal(pruned.scores[0], expected)


def test_still_second_grid_keeps_its_budget_from_the_start_of_the_grid() -> None:
    grid = torch.eye(10, HIDDEN_SIZE)  # similarities are exactly 1

    pruned = prune((grid, grid))

    assert [index - 10 for index in pruned.index[0].tolist() if index >= 10] == [0, 1, 2]


def test_second_grid_of_another_size_is_kept_whole() -> None:
    pruned = prune(make_grids(0, 10, 4))

    assert [index for index in pruned.index[0].tolist() if index >= 10] == [10, 11, 12, 13]


def test_third_grid_is_a_first_again() -> None:
    first, second = make_grids(0, 10, 10)

    pruned = prune((first, second, first))

    index = pruned.index[0].tolist()
    assert [i - 20 for i in index if i >= 20] == [i for i in index if i < 10]


def test_counts_are_known_from_shapes_alone() -> None:
    grids = [torch.zeros(3, 320, 8, device="meta")] * 2

    pruned = VideoPruner(CompressorConfig(8, 0.33, 0.6)).prune(grids, None)

    assert pruned.index.shape == (3, 212)
    assert pruned.is_kept is None  # nothing to count, nothing to wait for


def test_permuting_places_permutes_the_kept_tokens() -> None:
    first, second = make_grids(3, 20, 20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))

    kept = prune((first, second)).index[0]
    permuted = prune((first[order], second[order])).index[0]

    places = torch.cat([order, order + 20])
    assert set(places[permuted].tolist()) == set(kept.tolist())


def test_nothing_is_remembered() -> None:
    chunk, pruner = make_token_chunk(), make_pruner()

    assert pruner.reference(chunk, StreamState(grid=chunk.grids[0])) is None
    assert pruner.advance(chunk, StreamState(), is_fresh=True).grid is None


def test_no_video_gives_empty_rows() -> None:
    empty = PrunedVideo.empty(torch.zeros(2, 5, 8))

    assert empty.embeddings.shape == (2, 0, 8)
    assert empty.index.shape == empty.scores.shape == (2, 0)
    assert empty.is_kept is None


def test_grid_precedes_an_adjacent_chunk_of_equal_kind() -> None:
    chunk = make_token_chunk(start_s=2.0)
    grid = chunk.grids[1].clone()

    assert StreamState(grid, end_s=2.05).precedes(chunk, max_gap_s=0.1)
    assert not StreamState(grid, end_s=1.5).precedes(chunk, max_gap_s=0.1)
    assert not StreamState(grid[:3], end_s=2.0).precedes(chunk, max_gap_s=0.1)
    assert not StreamState(grid.double(), end_s=2.0).precedes(chunk, max_gap_s=0.1)
    assert not StreamState(end_s=2.0).precedes(chunk, max_gap_s=0.1)
    without_video = make_token_chunk(grid_sizes=(), start_s=2.0)
    assert not StreamState(grid, end_s=2.0).precedes(without_video, max_gap_s=0.1)
