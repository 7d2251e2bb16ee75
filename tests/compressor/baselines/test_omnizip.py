import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.baselines.omnizip import (
    AudioGuidedMerge,
    OmnizipOptions,
    attention_received,
    density_peaks,
    merge_into,
)
from compressor.config import CompressorConfig
from compressor.tokens import TokenChunk
from tests.tensors import HIDDEN_SIZE, make_positions, make_token_chunk

CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5)
PUBLISHED = OmnizipOptions(0.05, 0.35, 0.75, 8.0, is_normed=True)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> float:
    return float(functional.cosine_similarity(a, b, dim=0))


def reference_attention(tokens: Tensor, *, is_normed: bool = True) -> list[float]:
    def logit(a: Tensor, b: Tensor) -> float:
        return 8 * cosine(a, b) if is_normed else float(a @ b) / math.sqrt(len(a))

    count = len(tokens)
    received = [0.0] * count
    for asking in range(count):
        weight = {
            i: math.exp(logit(tokens[asking], tokens[i])) for i in range(count) if i != asking
        }
        for i, value in weight.items():
            received[i] += value / sum(weight.values()) / count
    return received


def reference_peaks(grid: Tensor) -> list[float]:
    count = len(grid)
    far = [[1 - cosine(a, b) for b in grid] for a in grid]
    density = []
    for i in range(count):
        near = sorted(far[i][j] for j in range(count) if j != i)[:5]
        density.append(math.exp(-sum(near) / len(near)))
    scores = []
    for i in range(count):
        denser = [far[i][j] for j in range(count) if density[j] > density[i]]
        gap = min(denser) if denser else max(far[i][j] for j in range(count) if j != i)
        scores.append(gap * density[i])
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_attention_received_equals_the_reference(seed: int) -> None:
    tokens = random(9, 16, seed=seed)

    expected = torch.tensor(reference_attention(tokens))
    torch.testing.assert_close(attention_received(tokens), expected, atol=1e-5, rtol=1e-4)
    unnormed = torch.tensor(reference_attention(tokens, is_normed=False))
    torch.testing.assert_close(attention_received(tokens, None), unnormed, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("num_tokens", [2, 4, 15])
def test_density_peaks_equal_the_reference(num_tokens: int) -> None:
    grid = random(num_tokens, 16, seed=num_tokens)

    expected = torch.tensor(reference_peaks(grid))
    torch.testing.assert_close(density_peaks(grid), expected, atol=1e-5, rtol=1e-4)


def test_single_tokens_are_scored() -> None:
    assert attention_received(random(1, 8)).tolist() == [1.0]
    assert density_peaks(random(1, 8)).tolist() == [1.0]


@pytest.mark.parametrize("seed", range(3))
def test_leftovers_are_merged_into_their_nearest_anchor(seed: int) -> None:
    audio, video = random(14, 16, seed=seed), random(6, 16, seed=seed + 10)
    anchors, rest = torch.tensor([2, 9]), torch.tensor([0, 1, 3, 4, 5, 7, 8, 11, 12])

    merged = merge_into(anchors, rest, audio, video)

    for number, anchor in enumerate(anchors.tolist()):
        mine = [
            i
            for i in rest.tolist()
            if max(anchors.tolist(), key=lambda a, i=i: cosine(audio[i], audio[a])) == anchor
        ]
        seen = {i: max(cosine(audio[i], token) for token in video) for i in mine}
        best = sorted(mine, key=lambda i: -seen[i])[:3]
        weight = {i: math.exp(seen[i]) / sum(math.exp(seen[j]) for j in best) for i in best}
        pooled = sum((weight[i] * audio[i] for i in best), torch.zeros(16))
        expected = (audio[anchor] + pooled) / 2 if best else audio[anchor]
        torch.testing.assert_close(merged[number], expected)


def test_nothing_left_over_leaves_anchors_alone() -> None:
    audio, none = random(4, 16), torch.zeros(0, dtype=torch.int64)

    assert torch.equal(merge_into(torch.tensor([1]), none, audio, random(2, 16)), audio[[1]])
    assert merge_into(none, torch.tensor([1]), audio, random(2, 16)).shape == (0, 16)


def test_audio_kept_is_dominant_or_an_anchor() -> None:
    chunk = make_token_chunk(grid_sizes=(12, 12), num_audio=40)

    result, _ = AudioGuidedMerge(CONFIG, PUBLISHED).compress(chunk)

    attention = reference_attention(chunk.audio)
    falling = sorted(range(40), key=lambda i: (-attention[i], i))
    dominant, others = falling[:18], sorted(falling[18:])
    anchors = [others[5], others[16]]  # the middles of both halves of the 22 others
    kept = [index - 24 for index in result.kept.tolist() if index >= 24]
    assert kept == sorted(dominant + anchors)
    rows = dict(zip(kept, result.embeddings[result.modality == 1], strict=True))
    assert all(torch.equal(rows[i], chunk.audio[i]) for i in dominant)
    assert not any(torch.equal(rows[i], chunk.audio[i]) for i in anchors)


@pytest.mark.parametrize(("context_ratio", "num_anchors"), [(0.0, 0), (0.1, 4), (0.9, 20)])
def test_anchors_have_their_share_of_the_audio(context_ratio: float, num_anchors: int) -> None:
    chunk = make_token_chunk(grid_sizes=(12, 12), num_audio=40)
    merge = AudioGuidedMerge(CONFIG, OmnizipOptions(context_ratio=context_ratio))

    result, _ = merge.compress(chunk)

    heard = result.embeddings[result.modality == 1]
    rows = chunk.audio[result.kept[result.modality == 1] - 24]
    changed = (heard != rows).any(dim=1)
    assert len(heard) == 20
    assert int(changed.sum()) <= num_anchors
    assert (num_anchors > 0) == bool(changed.any())


def test_video_follows_salient_audio() -> None:
    # in the first second every token is alike and so receives attention, in the second none
    alike = torch.ones(20, HIDDEN_SIZE) + 0.1 * random(20, HIDDEN_SIZE)
    unlike = 3 * random(20, HIDDEN_SIZE, seed=1)
    grids = torch.stack([random(100, HIDDEN_SIZE, seed=2), random(100, HIDDEN_SIZE, seed=3)])
    positions = make_positions((100, 100), 40, 0.0)

    for audio in (torch.cat([alike, unlike]), torch.cat([unlike, alike])):
        chunk = TokenChunk(grids, audio, positions, 0.0)
        result, _ = AudioGuidedMerge(CONFIG, PUBLISHED).compress(chunk)
        first = int((result.kept < 100).sum())

        attention = reference_attention(audio)
        dominant = sorted(range(40), key=lambda i: -attention[i])[:18]  # two more are anchors
        salient = sum(i < 20 for i in dominant) / 20, sum(i >= 20 for i in dominant) / 20
        shares = [0.25 + 0.4 * share for share in salient]
        assert first == pytest.approx(50 * shares[0] / sum(shares), abs=1)
        assert abs(first - 25) > 5


def test_grids_are_pruned_by_density_and_by_change_in_turn() -> None:
    chunk = make_token_chunk(grid_sizes=(12, 12), num_audio=0)

    result, _ = AudioGuidedMerge(CONFIG).compress(chunk)

    first, second = chunk.grids
    peaks = reference_peaks(first)
    spatial = sorted(sorted(range(12), key=lambda i: -peaks[i])[:3])
    similarity = [cosine(a, b) for a, b in zip(first, second, strict=True)]
    temporal = sorted(sorted(range(12), key=lambda i: similarity[i])[:3])
    assert result.kept.tolist() == [*spatial, *(12 + place for place in temporal)]
