import pytest

from compressor.config import (
    PROFILE_NAMES,
    CompressorConfig,
    CrossChunkConfig,
    SelectorConfig,
)


@pytest.mark.parametrize(
    ("profile", "video", "audio", "is_cross_chunk"),
    [
        ("paper-35", 0.33, 0.60, False),
        ("paper-25", 0.23, 0.50, False),
        ("live", 0.23, 0.50, True),
        ("speech", 0.23, 1.0, True),
        ("full", 1.0, 1.0, False),
    ],
)
def test_profile_has_its_ratios(
    profile: str, video: float, audio: float, is_cross_chunk: bool
) -> None:
    config = CompressorConfig.from_profile(profile, hidden_size=8)

    assert (config.video_keep_ratio, config.audio_keep_ratio) == (video, audio)
    assert (config.cross_chunk is not None) == is_cross_chunk
    assert config.hidden_size == 8


def test_every_profile_builds() -> None:
    configs = [CompressorConfig.from_profile(name, hidden_size=8) for name in PROFILE_NAMES]

    assert len(configs) == 5


def test_ratios_and_selector_of_a_profile_may_be_replaced() -> None:
    config = CompressorConfig.from_profile(
        "paper-25",
        hidden_size=8,
        video_keep_ratio=0.9,
        audio_keep_ratio=0.8,
        selector=SelectorConfig(width=32, heads=4, head_width=16),
    )

    assert (config.video_keep_ratio, config.audio_keep_ratio) == (0.9, 0.8)
    assert config.selector.width == 32


def test_default_selector_is_the_published_size() -> None:
    selector = CompressorConfig.from_profile("full", hidden_size=8).selector

    assert (selector.width, selector.heads, selector.head_width) == (512, 8, 256)


def test_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown profile 'paper-99', one of paper-35, paper-25"):
        CompressorConfig.from_profile("paper-99", hidden_size=8)


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.01, float("nan")])
@pytest.mark.parametrize("name", ["video_keep_ratio", "audio_keep_ratio"])
def test_ratio_out_of_range_is_refused(name: str, ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \(0, 1\]"):
        CompressorConfig.from_profile("full", hidden_size=8, **{name: ratio})  # type: ignore[arg-type]  # one of two floats


def test_hidden_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="hidden_size"):
        CompressorConfig(0, 1.0, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"still_saliency": -0.1},
        {"cut_saliency": 2.1},
        {"anchor_ratio": 0.0},
        {"audio_anchor_ratio": 1.1},
        {"refresh_chunks": 0},
        {"grid_s": 0.0},
        {"max_gap_s": -1.0},
    ],
)
def test_cross_chunk_rule_out_of_range_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes)).split("_")[0]):
        CrossChunkConfig(**changes)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("profile", "audio_keep_ratio", "expected"),
    [
        ("live", None, 0.4),
        ("live", 0.9, 0.4),
        ("live", 1.0, 0.0),
        ("speech", None, 0.0),
        ("speech", 0.5, 0.4),
        ("paper-25", None, 0.0),
        ("full", 0.5, 0.0),
    ],
)
def test_quiet_audio_is_dropped_only_where_a_live_profile_asks_for_less_than_all(
    profile: str, audio_keep_ratio: float | None, expected: float
) -> None:
    config = CompressorConfig.from_profile(
        profile,
        hidden_size=8,
        audio_keep_ratio=audio_keep_ratio,
        selector=SelectorConfig(quiet_score=0.4),
    )

    assert config.quiet_score == expected


def test_a_selector_that_only_ranks_finds_nothing_quiet() -> None:
    assert CompressorConfig.from_profile("live", hidden_size=8).quiet_score == 0.0


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_quiet_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="quiet_score is 0 to 1"):
        SelectorConfig(quiet_score=score)


@pytest.mark.parametrize("changes", [{"width": 30}, {"heads": 0}, {"head_width": 0}])
def test_impossible_selector_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="heads must divide width"):
        SelectorConfig(**changes)
