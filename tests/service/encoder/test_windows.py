from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.omni.checkpoint import load_audio_tower, load_vision_tower
from service.encoder import windows
from service.encoder.windows import Windows, attend_in_windows


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("lengths", [(5,), (4, 4, 4), (4, 2, 4, 1, 2), (1, 9)], ids=str)
def test_windows_together_equal_one_by_one(lengths: tuple[int, ...]) -> None:
    bounds = torch.tensor([0, *lengths]).cumsum(0)
    query, key, value = (noise(3, sum(lengths), 8, seed=seed) for seed in range(3))

    out = Windows.between(bounds).attend(query, key, value, 0.3)

    for start, stop in pairwise(bounds.tolist()):
        part = [one[:, start:stop] for one in (query, key, value)]
        alone = (part[0] @ part[1].mT * 0.3).softmax(-1) @ part[2]
        torch.testing.assert_close(out[start:stop], alone.transpose(0, 1))


# merged tokens per side: whole windows alone, and such as leave narrower ones at two edges
@pytest.mark.parametrize("sizes", [((8, 8), (8, 8)), ((4, 4), (6, 5), (3, 9))], ids=str)
def test_vision_tower_computes_the_same_in_fewer_calls(
    checkpoint: Path, sizes: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, tower = load_vision_tower(checkpoint), load_vision_tower(checkpoint)
    attend_in_windows(tower, "attn")
    shapes = torch.tensor([[1, 2 * rows, 2 * columns] for rows, columns in sizes])
    patches = noise(int(shapes.prod(1).sum()), 1176)
    calls = count_calls(monkeypatch)

    with torch.inference_mode():
        ours = tower(patches, grid_thw=shapes).pooler_output
        theirs = stock(patches, grid_thw=shapes).pooler_output

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    num_lengths = 1 if len(set(sizes)) == 1 else 9
    assert len(tower.blocks) <= len(calls) <= num_lengths * len(tower.blocks)


def test_audio_tower_computes_the_same_in_fewer_calls(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, tower = load_audio_tower(checkpoint), load_audio_tower(checkpoint)
    attend_in_windows(tower, "self_attn")
    lengths = torch.tensor([200, 200, 123, 200])
    mel = noise(128, int(lengths.sum()))
    calls = count_calls(monkeypatch)

    with torch.inference_mode():
        ours = tower(mel, feature_lens=lengths).last_hidden_state
        theirs = stock(mel, feature_lens=lengths).last_hidden_state

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert len(calls) == 2 * len(tower.layers)  # whole blocks, and the short one


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The queries of every call to the kernel from now on."""
    calls: list[Tensor] = []

    def attend(query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
        calls.append(query)
        return functional.scaled_dot_product_attention(query, key, value, scale=scale)

    monkeypatch.setattr(windows, "scaled_dot_product_attention", attend)
    return calls
