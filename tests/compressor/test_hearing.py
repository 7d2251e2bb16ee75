import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.config import CompressorConfig, CrossChunkConfig, SelectorConfig
from compressor.hearing import pick_audio
from compressor.keep import evenly_spaced, keep_top, num_kept

LIVE = CrossChunkConfig(audio_anchor_ratio=0.1)


def make_config(
    quiet_score: float, audio_keep_ratio: float = 0.5, rules: CrossChunkConfig | None = LIVE
) -> CompressorConfig:
    selector = SelectorConfig(quiet_score=quiet_score)
    return CompressorConfig(8, 0.25, audio_keep_ratio, rules, selector)


def reference_pick(scores: list[float], config: CompressorConfig) -> list[int]:
    best = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    heard = [place for place in best if scores[place] >= config.quiet_score]
    spaced = evenly_spaced(len(scores), num_kept(len(scores), 0.1)).tolist()
    anchors = [place for place in best if place in spaced and place not in heard]
    return sorted([*heard, *anchors][: num_kept(len(scores), config.audio_keep_ratio)])


@given(
    st.lists(st.integers(0, 10), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.3, 0.5, 0.99]),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_kept_tokens_equal_the_reference(
    levels: list[int], audio_keep_ratio: float, quiet_score: float
) -> None:
    config = make_config(quiet_score, audio_keep_ratio)
    scores = torch.tensor([levels], dtype=torch.float32) / 10

    index, is_kept = pick_audio(scores, config)

    assert is_kept is not None
    assert index.shape == (1, num_kept(len(levels), audio_keep_ratio))
    assert index[0][is_kept[0]].tolist() == reference_pick(scores[0].tolist(), config)


def test_each_chunk_of_a_batch_keeps_what_is_heard_in_it() -> None:
    scores = torch.full((3, 20), 0.01)
    scores[1, [4, 17, 9]] = 0.9
    scores[2] = 0.8

    index, is_kept = pick_audio(scores, make_config(0.5))

    assert is_kept is not None
    kept = [row[flags].tolist() for row, flags in zip(index, is_kept, strict=True)]
    assert kept == [[5, 15], [4, 5, 9, 15, 17], list(range(10))]


@pytest.mark.parametrize(
    "config",
    [make_config(0.5, rules=None), make_config(0.0), make_config(0.5, audio_keep_ratio=1.0)],
    ids=["published profile", "selector that only ranks", "all audio asked for"],
)
def test_elsewhere_the_whole_budget_is_kept(config: CompressorConfig) -> None:
    scores = torch.rand(2, 20, generator=torch.Generator().manual_seed(0)) / 10

    index, is_kept = pick_audio(scores, config)

    assert is_kept is None
    assert torch.equal(index, keep_top(scores, num_kept(20, config.audio_keep_ratio)))


def test_a_bad_score_is_within_budget_where_the_finite_check_finds_it() -> None:
    scores = torch.full((1, 20), 0.01)
    scores[0, 13] = torch.nan

    index, _ = pick_audio(scores, make_config(0.5))

    assert 13 in index[0].tolist()
