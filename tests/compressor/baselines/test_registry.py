"""What holds of every method that OmniSIFT is compared with."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from compressor.baselines import BASELINE_NAMES, build_baseline
from compressor.baselines.baseline import Baseline
from compressor.config import CompressorConfig, SelectorConfig
from compressor.pipeline import TokenCompressor
from compressor.tokens import Modality, TokenChunk
from compressor.video import StreamState
from tests.tensors import HIDDEN_SIZE, make_token_chunk

NAMES = pytest.mark.parametrize("name", BASELINE_NAMES)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
MERGING = {"tome": {Modality.VIDEO, Modality.AUDIO}, "omnizip": {Modality.AUDIO}}


def make_config(profile: str = "paper-25") -> CompressorConfig:
    selector = SelectorConfig(width=32, heads=4, head_width=16)
    return CompressorConfig.from_profile(profile, hidden_size=HIDDEN_SIZE, selector=selector)


def make(name: str, profile: str = "paper-25") -> Baseline:
    return build_baseline(name, make_config(profile))


def all_tokens(chunk: TokenChunk) -> Tensor:
    return torch.cat([*chunk.grids, chunk.audio])


@NAMES
@DTYPES
@pytest.mark.parametrize("profile", ["paper-35", "paper-25", "full"])
@pytest.mark.parametrize(
    ("grid_sizes", "num_audio"),
    [((40, 40), 50), ((40,), 50), ((7, 7, 7), 3), ((1, 1), 1), ((), 10), ((40, 40), 0), ((), 0)],
)
def test_stream_keeps_as_many_tokens_as_omnisift(
    grid_sizes: tuple[int, ...], num_audio: int, profile: str, dtype: torch.dtype, name: str
) -> None:
    baseline, omnisift = make(name, profile), TokenCompressor(make_config(profile))
    state = None

    for number in range(3):
        chunk = make_token_chunk(
            number,
            grid_sizes=grid_sizes,
            num_audio=num_audio,
            dtype=dtype,
            start_s=len(grid_sizes) * number,
        )
        result, state = baseline.compress(chunk, state)

        expected, _ = omnisift.compress(chunk)
        assert result.counts_kept == expected.counts_kept
        assert result.counts_in == chunk.counts
        assert result.kept.tolist() == sorted(set(result.kept.tolist()))
        assert torch.equal(result.modality, expected.modality)
        assert torch.equal(result.positions, chunk.positions[:, result.kept])
        assert result.next_position == expected.next_position
        assert result.scores.dtype == torch.float32
        assert bool(result.scores.isfinite().all())
        assert result.embeddings.dtype == dtype


@NAMES
def test_only_merging_methods_change_embeddings(name: str) -> None:
    chunk = make_token_chunk(grid_sizes=(40, 40), num_audio=50)

    result, _ = make(name).compress(chunk)

    is_changed = (result.embeddings != all_tokens(chunk)[result.kept]).any(dim=1)
    changed = {Modality(int(value)) for value in result.modality[is_changed]}
    assert changed == MERGING.get(name, set())


@NAMES
@DTYPES
def test_keep_ratio_one_is_the_identity(name: str, dtype: torch.dtype) -> None:
    chunk = make_token_chunk(dtype=dtype)

    result, _ = make(name, "full").compress(chunk)

    assert torch.equal(result.embeddings, all_tokens(chunk))


@NAMES
def test_audio_without_video_is_kept_whole(name: str) -> None:
    result, _ = make(name).compress(make_token_chunk(grid_sizes=(), num_audio=10))

    assert result.kept.tolist() == list(range(10))
    assert result.scores.tolist() == [1.0] * 10


@NAMES
def test_unequal_grids_are_compressed(name: str) -> None:
    chunk = make_token_chunk(grid_sizes=(20, 12), num_audio=10)

    result, _ = make(name).compress(chunk)

    assert 0 < result.counts_kept.video < 32


@NAMES
def test_batch_equals_loop(name: str) -> None:
    baseline = make(name)
    states: list[StreamState | None] = [None, None]

    for number in range(3):
        chunks = [make_token_chunk(number + row, start_s=2.0 * number) for row in range(2)]
        together = baseline.compress_batch(chunks, states)
        for chunk, before, (result, _) in zip(chunks, states, together, strict=True):
            alone, _ = baseline.compress(chunk, before)
            assert torch.equal(result.kept, alone.kept)
            assert torch.equal(result.embeddings, alone.embeddings)
        states = [state for _, state in together]


@NAMES
def test_inputs_are_not_modified_nor_shared(name: str) -> None:
    chunk, twin, before = make_token_chunk(), make_token_chunk(), make_token_chunk(9)
    baseline = make(name)
    _, state = baseline.compress(replace(before, start_s=-2.0))
    raw = None if state.grid is None else state.grid.clone()

    result, after = baseline.compress(chunk, state)
    result.embeddings.fill_(7)
    if after.grid is not None:
        after.grid.fill_(7)

    assert torch.equal(all_tokens(chunk), all_tokens(twin))
    if state.grid is not None and raw is not None:
        assert torch.equal(state.grid, raw)


@NAMES
def test_nan_and_wrong_width_are_refused(name: str) -> None:
    chunk = make_token_chunk()
    chunk.audio[0, 0] = float("nan")

    with pytest.raises(ValueError, match="chunk 0: audio"):
        make(name).compress(chunk)
    with pytest.raises(ValueError, match="chunk 1: embeddings have D=8"):
        make(name).compress_batch([make_token_chunk(), make_token_chunk(hidden_size=8)], [None] * 2)


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown baseline 'fastv', one of random, uniform"):
        make("fastv")
