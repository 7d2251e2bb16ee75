from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.budget import NEW_SALIENCY
from compressor.baselines.dycoke import DycokeOptions, TemporalMerge
from compressor.config import CompressorConfig
from compressor.tokens import CompressedChunk, TokenChunk
from tests.tensors import HIDDEN_SIZE, make_token_chunk

CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5)
PUBLISHED = DycokeOptions(other_share=0.3)


def least_similar(grid: Tensor, reference: Tensor, num_keep: int) -> list[int]:
    similarity = functional.cosine_similarity(grid, reference).tolist()
    return sorted(sorted(range(len(similarity)), key=lambda i: (similarity[i], i))[:num_keep])


def per_grid(result: CompressedChunk, size: int) -> list[list[int]]:
    kept = result.kept.tolist()
    return [[i - start for i in kept if start <= i < start + size] for start in (0, size)]


def two_chunks(seed: int) -> tuple[TokenChunk, TokenChunk]:
    return (
        make_token_chunk(seed, grid_sizes=(26, 26)),
        make_token_chunk(seed, grid_sizes=(26, 26), start_s=2.0),
    )


@pytest.mark.parametrize("seed", range(5))
def test_window_of_four_grids_equals_the_reference(seed: int) -> None:
    merge, (first, second) = TemporalMerge(CONFIG, PUBLISHED), two_chunks(seed)

    opening, state = merge.compress(first)
    closing, after = merge.compress(second, state)

    # 14 tokens a chunk; anchor and second grid share them as 1 : 0.3, third and fourth equally
    anchor, other = per_grid(opening, 26)
    assert (len(anchor), len(other)) == (11, 3)
    assert other == least_similar(first.grids[1], first.grids[0], 3)
    third, fourth = per_grid(closing, 26)
    assert third == least_similar(second.grids[0], first.grids[0], 7)
    assert fourth == least_similar(second.grids[1], second.grids[0], 7)
    assert after.grid is None


@pytest.mark.parametrize(("other_share", "counts"), [(0.1, [13, 1]), (1.0, [7, 7]), (6.0, [2, 12])])
def test_a_compared_grid_gets_its_share_of_the_anchors(
    other_share: float, counts: list[int]
) -> None:
    merge = TemporalMerge(CONFIG, DycokeOptions(other_share))

    result, _ = merge.compress(make_token_chunk(grid_sizes=(26, 26)))

    assert [len(grid) for grid in per_grid(result, 26)] == counts


def test_third_chunk_opens_a_window() -> None:
    merge, (first, second) = TemporalMerge(CONFIG, PUBLISHED), two_chunks(0)
    third = make_token_chunk(0, grid_sizes=(26, 26), start_s=4.0)

    _, state = merge.compress(first)
    _, state = merge.compress(second, state)
    result, state = merge.compress(third, state)

    assert [len(grid) for grid in per_grid(result, 26)] == [11, 3]
    assert state.grid is not None
    assert torch.equal(state.grid, third.grids[0])


def test_anchor_is_kept_whole_when_the_budget_allows() -> None:
    chunk = make_token_chunk(grid_sizes=(10, 10))

    config = CompressorConfig(HIDDEN_SIZE, 0.65, 0.5)

    result, _ = TemporalMerge(config, PUBLISHED).compress(chunk)

    anchor, other = per_grid(result, 10)
    assert anchor == list(range(10))
    assert other == least_similar(chunk.grids[1], chunk.grids[0], 4)


def test_anchor_cut_below_its_size_is_thinned_evenly() -> None:
    merge = TemporalMerge(CONFIG, PUBLISHED)

    result, _ = merge.compress(make_token_chunk(grid_sizes=(26, 26)))

    anchor, _ = per_grid(result, 26)
    assert max(b - a for a, b in pairwise(anchor)) <= 3


def test_gap_opens_a_window() -> None:
    merge, (first, _) = TemporalMerge(CONFIG), two_chunks(0)
    late = make_token_chunk(0, grid_sizes=(26, 26), start_s=8.0)
    _, state = merge.compress(first)

    assert torch.equal(merge.compress(late, state)[0].kept, merge.compress(late)[0].kept)


def test_chunk_of_four_grids_is_a_window_by_itself() -> None:
    chunk = make_token_chunk(grid_sizes=(10,) * 4, num_audio=0)

    result, state = TemporalMerge(CONFIG).compress(chunk)

    kept = result.kept.tolist()
    third = [index - 20 for index in kept if 20 <= index < 30]
    assert third == least_similar(chunk.grids[2], chunk.grids[0], len(third))
    assert state.grid is None


@pytest.mark.parametrize("seed", range(5))
def test_audio_is_merged_in_windows_of_four_tokens(seed: int) -> None:
    chunk = make_token_chunk(seed, num_audio=20)

    result, _ = TemporalMerge(CONFIG).compress(chunk)

    audio = chunk.audio
    similarity = {
        i: float(
            functional.cosine_similarity(audio[i], audio[i - (i % 4 if i % 4 < 3 else 1)], dim=0)
        )
        for i in range(20)
        if i % 4
    }
    others = sorted(similarity, key=lambda i: (similarity[i], i))[:5]
    expected = sorted([0, 4, 8, 12, 16, *others])
    kept = [index - 24 for index in result.kept.tolist() if index >= 24]
    assert kept == expected
    scores = dict(zip(kept, result.scores[-10:].tolist(), strict=True))
    assert scores[4] == NEW_SALIENCY
    assert scores[others[0]] == pytest.approx(1 - similarity[others[0]], abs=1e-6)
