from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.live import LivePruner
from compressor.tokens import TokenChunk
from compressor.video import PrunedVideo, StreamState, VideoPruner
from tests.tensors import HIDDEN_SIZE, make_positions, make_token_chunk

RULES = CrossChunkConfig(still_saliency=0.05, cut_saliency=0.6, anchor_ratio=0.1)
CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5, RULES)
PLACES = 20  # per grid: a budget of 5, a floor of 2
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def make_pruner(rules: CrossChunkConfig = RULES) -> LivePruner:
    return LivePruner(CONFIG, rules)


def make_chunk(grids: list[Tensor], start_s: float = 0.0) -> TokenChunk:
    positions = make_positions([len(grid) for grid in grids], 0, start_s)
    return TokenChunk(tuple(grids), torch.zeros(0, HIDDEN_SIZE), positions, start_s)


def make_scene(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(PLACES, HIDDEN_SIZE, generator=generator) + 1).to(dtype)


def with_changes(scene: Tensor, places: list[int]) -> Tensor:
    changed = scene.clone()
    changed[places] = -scene[places].roll(1, dims=-1)
    return changed


def prune(grids: list[Tensor], reference: Tensor | None = None) -> PrunedVideo:
    reference = None if reference is None else reference.unsqueeze(0)
    return make_pruner().prune([grid.unsqueeze(0) for grid in grids], reference)


def kept_places(pruned: PrunedVideo, row: int = 0) -> list[int]:
    assert pruned.is_kept is not None
    kept: list[int] = pruned.index[row][pruned.is_kept[row]].tolist()
    return kept


def num_kept(pruned: PrunedVideo) -> int:
    return len(kept_places(pruned))


def is_fresh(pruned: PrunedVideo) -> list[bool]:
    assert pruned.is_fresh is not None
    return [bool(value) for value in pruned.is_fresh]


def reference_grid(grid: Tensor, before: Tensor | None) -> list[int]:
    grid = grid.float()
    spatial = 1 - functional.cosine_similarity(grid, grid.mean(dim=0, keepdim=True))
    if before is None or before.shape != grid.shape:
        return sorted(sorted(range(len(grid)), key=lambda i: (-float(spatial[i]), i))[:5])
    change = 1 - functional.cosine_similarity(before.float(), grid)
    if change.mean() > RULES.cut_saliency:
        return reference_grid(grid, None)
    moved = [i for i in range(len(grid)) if change[i] >= RULES.still_saliency]
    kept = sorted(moved, key=lambda i: (-float(change[i]), i))[:5]
    anchors = sorted(set(range(len(grid))) - set(moved), key=lambda i: (-float(spatial[i]), i))
    return sorted(kept + anchors[: max(0, 2 - len(kept))])


@DTYPES
@pytest.mark.parametrize("num_changed", [0, 1, 2, 3, 5, 8, 20])
@pytest.mark.parametrize("seed", range(4))
def test_kept_tokens_equal_the_reference(seed: int, num_changed: int, dtype: torch.dtype) -> None:
    scene = make_scene(seed, dtype)
    order = torch.randperm(PLACES, generator=torch.Generator().manual_seed(seed)).tolist()
    grids = [with_changes(scene, order[:num_changed]), scene]

    pruned = prune(grids, scene)

    expected = reference_grid(grids[0], scene)
    expected += [PLACES + place for place in reference_grid(grids[1], grids[0])]
    assert kept_places(pruned) == expected


def test_without_a_reference_the_first_grid_is_pruned_as_published() -> None:
    grids = [make_scene(0), make_scene(1)]

    live = prune(grids)

    published = VideoPruner(CONFIG).prune([grids[0].unsqueeze(0)], None)
    assert kept_places(live)[:5] == published.index[0].tolist()
    assert is_fresh(live) == [True]


def test_moving_scene_is_pruned_as_published() -> None:
    # every token changes by more than the threshold, on average by less than a cut
    scene = make_scene(0)
    moved = scene + 0.8 * torch.randn(scene.shape, generator=torch.Generator().manual_seed(9))

    live = prune([scene, moved])

    published = VideoPruner(CONFIG).prune([scene.unsqueeze(0), moved.unsqueeze(0)], None)
    assert kept_places(live) == published.index[0].tolist()


def test_still_scene_keeps_only_its_anchors() -> None:
    scene = make_scene(0)

    pruned = prune([scene, scene], scene)

    spatial = 1 - functional.cosine_similarity(scene, scene.mean(dim=0, keepdim=True))
    anchors = sorted(spatial.topk(2).indices.tolist())
    assert kept_places(pruned) == [*anchors, *(PLACES + place for place in anchors)]
    assert is_fresh(pruned) == [False]


def test_changed_tokens_are_kept_and_still_ones_dropped() -> None:
    scene = make_scene(0)

    pruned = prune([with_changes(scene, [3, 11, 17])], scene)

    assert kept_places(pruned) == [3, 11, 17]


def test_selector_is_guided_by_the_whole_budget() -> None:
    scene = make_scene(0)

    pruned = prune([scene, scene], scene)

    assert pruned.embeddings.shape == (1, 10, HIDDEN_SIZE)
    assert torch.equal(pruned.embeddings[0], torch.cat([scene, scene])[pruned.index[0]])
    assert num_kept(pruned) == 4


def test_never_more_than_the_budget_is_kept() -> None:
    scene = make_scene(0)

    pruned = prune([with_changes(scene, list(range(10)))], scene)

    assert num_kept(pruned) == 5


def test_floor_never_exceeds_the_budget() -> None:
    config = CompressorConfig(HIDDEN_SIZE, 0.05, 0.5)
    pruner = LivePruner(config, replace(RULES, anchor_ratio=1.0))
    scene = make_scene(0).unsqueeze(0)

    assert num_kept(pruner.prune([scene], scene)) == 1


def test_scene_cut_is_scored_without_the_reference() -> None:
    scene = make_scene(0)

    pruned = prune([-scene], scene)

    assert kept_places(pruned) == kept_places(prune([-scene]))
    assert is_fresh(pruned) == [True]


def test_scene_cut_to_a_plain_scene_spends_the_whole_budget() -> None:
    # less saliency than the still threshold, in every token
    plain = -torch.ones(PLACES, HIDDEN_SIZE) + 0.01 * make_scene(1)

    pruned = prune([plain], torch.ones(PLACES, HIDDEN_SIZE))

    assert num_kept(pruned) == 5
    assert kept_places(pruned) == kept_places(prune([plain]))


def test_bfloat16_tokens_are_told_apart_beyond_the_precision_of_their_dtype() -> None:
    scene = (1 + 0.05 * make_scene(0)).bfloat16()

    pruned = prune([scene])

    similarity = functional.cosine_similarity(scene, scene.mean(dim=0, keepdim=True))
    assert len(set(similarity.tolist())) < 5
    assert kept_places(pruned) == reference_grid(scene, None)


def test_cut_in_one_chunk_leaves_the_others_of_the_batch_alone() -> None:
    scene = make_scene(0)
    grids, reference = torch.stack([-scene, scene]), torch.stack([scene, scene])

    pruned = make_pruner().prune([grids], reference)

    assert is_fresh(pruned) == [True, False]
    assert kept_places(pruned, 0) == kept_places(prune([-scene]))
    assert kept_places(pruned, 1) == kept_places(prune([scene], scene))


def test_grid_of_another_size_than_the_one_before_spends_its_budget_by_its_mean() -> None:
    small = make_scene(1)[:8]

    pruned = prune([make_scene(0), small])

    assert num_kept(pruned) == 5 + 2
    alone = kept_places(prune([small]))
    assert [place - PLACES for place in kept_places(pruned)[5:]] == alone


def test_scores_are_the_saliency_that_each_token_was_chosen_by() -> None:
    scene = make_scene(0)
    changed = with_changes(scene, [4])

    pruned = prune([changed], scene)

    assert pruned.is_kept is not None
    scores = dict(zip(pruned.index[0].tolist(), pruned.scores[0].tolist(), strict=True))
    change = 1 - functional.cosine_similarity(scene[4], changed[4], dim=0)
    spatial = 1 - functional.cosine_similarity(changed, changed.mean(dim=0, keepdim=True))
    (anchor,) = set(kept_places(pruned)) - {4}
    assert scores[4] == pytest.approx(float(change), abs=1e-6)
    assert scores[anchor] == pytest.approx(float(spatial[anchor]), abs=1e-6)


def test_state_is_the_last_raw_grid_and_its_end() -> None:
    chunk = make_token_chunk(grid_sizes=(12, 12), start_s=4.0)

    state = make_pruner().advance(chunk, StreamState(), is_fresh=True)

    assert state.grid is not None
    assert torch.equal(state.grid, chunk.grids[1])
    assert state.grid.untyped_storage().nbytes() == state.grid.nbytes  # holds no batch alive
    assert (state.end_s, state.chunks_since_refresh) == (6.0, 0)


def test_state_counts_chunks_since_the_last_fresh_one() -> None:
    pruner, chunk = make_pruner(), make_token_chunk()
    state = StreamState(chunks_since_refresh=3)

    assert pruner.advance(chunk, state, is_fresh=False).chunks_since_refresh == 4
    assert pruner.advance(chunk, state, is_fresh=True).chunks_since_refresh == 0


def test_chunk_without_video_clears_the_state() -> None:
    state = StreamState(grid=make_scene(0), end_s=2.0, chunks_since_refresh=3)

    after = make_pruner().advance(make_chunk([]), state, is_fresh=True)

    assert after.grid is None


@pytest.mark.parametrize(
    ("state", "is_used"),
    [
        (StreamState(make_scene(0), end_s=2.0), True),
        (StreamState(make_scene(0), end_s=2.05), True),
        (StreamState(make_scene(0), end_s=1.0), False),  # a gap
        (StreamState(make_scene(0), end_s=4.0), False),  # time went backwards
        (StreamState(make_scene(0)[:8], end_s=2.0), False),  # another size
        (StreamState(make_scene(0, torch.bfloat16), end_s=2.0), False),  # another dtype
        (StreamState(make_scene(0), end_s=2.0, chunks_since_refresh=13), True),
        (StreamState(make_scene(0), end_s=2.0, chunks_since_refresh=14), False),  # due a refresh
        (StreamState(), False),
    ],
)
def test_reference_is_used_only_where_it_holds(state: StreamState, is_used: bool) -> None:
    chunk = make_chunk([make_scene(1)], start_s=2.0)

    assert (make_pruner().reference(chunk, state) is not None) == is_used


def test_chunk_without_video_has_no_reference() -> None:
    state = StreamState(make_scene(0), end_s=2.0)

    assert make_pruner().reference(make_chunk([], start_s=2.0), state) is None
