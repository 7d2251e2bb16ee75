import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.tome import BipartiteMerge, TomeOptions
from compressor.config import CompressorConfig
from compressor.tokens import TokenChunk
from tests.tensors import HIDDEN_SIZE, make_positions, make_token_chunk


def reference_merge(
    tokens: Tensor, order: list[int], num_keep: int, share: float
) -> dict[int, list[int]]:
    """Sets of merged tokens by the token they were merged into, one round after the other."""
    groups = {index: [index] for index in order}
    while len(groups) > num_keep:
        left = list(groups)
        mean = {i: tokens[groups[i]].float().mean(dim=0) for i in left}
        pairs = []
        for source in left[::2]:
            likeness = [
                float(functional.cosine_similarity(mean[source], mean[target], dim=0))
                for target in left[1::2]
            ]
            best = max(range(len(likeness)), key=lambda place: likeness[place])
            pairs.append((-likeness[best], source, left[1::2][best]))
        count = min(len(groups) - num_keep, max(1, int(len(groups) * share)))
        for _, source, target in sorted(pairs, key=lambda pair: pair[0])[:count]:
            groups[target] += groups.pop(source)
    return groups


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("is_interleaved", [True, False])
@pytest.mark.parametrize("share", [0.03, 0.125, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_merged_tokens_equal_the_reference(
    seed: int, share: float, is_interleaved: bool, dtype: torch.dtype
) -> None:
    chunk = make_token_chunk(seed, grid_sizes=(12, 12), num_audio=11, dtype=dtype)
    config, options = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5), TomeOptions(share, is_interleaved)

    result, _ = BipartiteMerge(config, options).compress(chunk)

    video, audio = torch.cat(chunk.grids), chunk.audio
    order = [place + grid for place in range(12) for grid in (0, 12)]
    groups = reference_merge(video, order if is_interleaved else list(range(24)), 6, share)
    heard = reference_merge(audio, list(range(11)), 6, share)
    tokens = torch.cat([video, audio]).float()
    groups |= {24 + i: [24 + j for j in members] for i, members in heard.items()}
    assert result.kept.tolist() == sorted(groups)
    assert result.scores.tolist() == [len(groups[i]) for i in sorted(groups)]
    expected = torch.stack([tokens[groups[i]].mean(dim=0) for i in sorted(groups)])
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(result.embeddings.float(), expected, atol=tolerance, rtol=tolerance)


def test_no_token_is_lost() -> None:
    chunk = make_token_chunk(grid_sizes=(40, 40), num_audio=50)

    result, _ = BipartiteMerge(CompressorConfig(HIDDEN_SIZE, 0.23, 0.5)).compress(chunk)

    is_video = result.modality == 0
    assert (result.scores[is_video].sum(), result.scores[~is_video].sum()) == (80, 50)
    mean = (result.embeddings[is_video] * result.scores[is_video].unsqueeze(1)).sum(dim=0) / 80
    torch.testing.assert_close(mean, torch.cat(chunk.grids).mean(dim=0))


def test_same_place_in_both_grids_is_merged_first() -> None:
    scene = torch.eye(8, HIDDEN_SIZE)
    chunk = TokenChunk(
        torch.stack([scene, scene]),
        torch.zeros(0, HIDDEN_SIZE),
        make_positions((8, 8), 0, 0.0),
        0.0,
    )

    config, options = CompressorConfig(HIDDEN_SIZE, 0.5, 0.5), TomeOptions(is_interleaved=True)

    result, _ = BipartiteMerge(config, options).compress(chunk)

    places = [index % 8 for index in result.kept.tolist()]
    assert sorted(places) == list(range(8))
    assert result.scores.tolist() == [2.0] * 8
    assert torch.equal(result.embeddings, scene[places])
