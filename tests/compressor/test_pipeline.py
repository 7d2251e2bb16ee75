from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from compressor.config import PROFILE_NAMES, CompressorConfig, CrossChunkConfig, SelectorConfig
from compressor.keep import evenly_spaced, num_kept
from compressor.pipeline import TokenCompressor
from compressor.tokens import CompressedChunk, Modality, TokenChunk, TokenCounts
from compressor.video import StreamState
from tests.tensors import HIDDEN_SIZE, make_token_chunk

SMALL = SelectorConfig(width=32, heads=4, head_width=16)
# about a quarter of random audio is scored above this by these weights
CALIBRATED = replace(SMALL, quiet_score=0.57)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
SELECTORS = pytest.mark.parametrize("selector", [SMALL, CALIBRATED], ids=["ranks", "calibrated"])
PROFILES = pytest.mark.parametrize("profile", PROFILE_NAMES)


def make_compressor(profile: str = "paper-25", selector: SelectorConfig = SMALL) -> TokenCompressor:
    return TokenCompressor(
        CompressorConfig.from_profile(profile, hidden_size=HIDDEN_SIZE, selector=selector)
    )


def all_tokens(chunk: TokenChunk) -> Tensor:
    return torch.cat([*chunk.grids, chunk.audio])


def assert_same(one: CompressedChunk, other: CompressedChunk) -> None:
    for field in fields(CompressedChunk):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name == "scores":
            torch.testing.assert_close(left, right)
        elif isinstance(left, Tensor):
            assert torch.equal(left, right), field.name
        else:
            assert left == right, field.name


def assert_consistent(source: TokenChunk, result: CompressedChunk) -> None:
    num_video = source.counts.video
    assert result.kept.dtype == torch.int64
    assert result.kept.tolist() == sorted(set(result.kept.tolist()))
    assert torch.equal(result.embeddings, all_tokens(source)[result.kept])
    assert torch.equal(result.positions, source.positions[:, result.kept])
    assert result.modality.tolist() == [int(index >= num_video) for index in result.kept.tolist()]
    assert result.scores.dtype == torch.float32
    assert len(result.scores) == len(result.kept) == result.counts_kept.total
    assert result.counts_in == source.counts
    assert result.counts_kept.audio == int((result.modality == Modality.AUDIO).sum())
    assert result.start_s == source.start_s


@PROFILES
@DTYPES
@pytest.mark.parametrize(
    ("grid_sizes", "num_audio"),
    [
        ((12, 12), 10),
        ((12,), 10),
        ((12, 12, 12), 10),
        ((12, 7), 10),
        ((12, 12), 1),
        ((1, 1), 1),
        ((), 10),
        ((12, 12), 0),
        ((), 0),
    ],
)
def test_result_is_consistent_with_its_input(
    grid_sizes: tuple[int, ...], num_audio: int, dtype: torch.dtype, profile: str
) -> None:
    chunk = make_token_chunk(grid_sizes=grid_sizes, num_audio=num_audio, dtype=dtype)

    result, state = make_compressor(profile).compress(chunk)
    assert_consistent(chunk, result)
    following = replace(chunk, start_s=state.end_s)
    again, _ = make_compressor(profile).compress(following, state)

    assert_consistent(following, again)
    assert result.embeddings.dtype == dtype
    assert result.next_position == (int(chunk.positions.max()) + 1 if chunk.num_tokens else 0)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("paper-35", TokenCounts(212, 30)), ("paper-25", TokenCounts(148, 25))],
)
def test_paper_chunk_keeps_the_official_counts(profile: str, expected: TokenCounts) -> None:
    chunk = make_token_chunk(grid_sizes=(320, 320), num_audio=50)

    result, _ = make_compressor(profile).compress(chunk)

    assert result.counts_kept == expected


def test_audio_only_chunk_keeps_all_audio() -> None:
    chunk = make_token_chunk(grid_sizes=(), num_audio=10)

    result, _ = make_compressor().compress(chunk)

    assert result.kept.tolist() == list(range(10))
    assert result.scores.tolist() == [1.0] * 10


def test_video_only_chunk_keeps_what_it_keeps_beside_audio() -> None:
    with_audio, without = make_token_chunk(), make_token_chunk(num_audio=0)

    both, _ = make_compressor().compress(with_audio)
    video, _ = make_compressor().compress(without)

    assert torch.equal(video.kept, both.kept[both.modality == Modality.VIDEO])


def test_single_audio_token_is_kept() -> None:
    result, _ = make_compressor().compress(make_token_chunk(num_audio=1))

    assert result.counts_kept.audio == 1


def test_audio_kept_is_what_the_selector_scores_best_given_the_kept_video() -> None:
    chunk, compressor = make_token_chunk(), make_compressor()

    result, _ = compressor.compress(chunk)

    guide = result.embeddings[result.modality == Modality.VIDEO].unsqueeze(0)
    with torch.no_grad():
        scores = compressor.selector(guide, chunk.audio.unsqueeze(0))[0]
    best = sorted(range(10), key=lambda index: (-float(scores[index]), index))[:5]
    is_audio = result.modality == Modality.AUDIO
    assert (result.kept[is_audio] - 24).tolist() == sorted(best)
    assert torch.equal(result.scores[is_audio], scores[sorted(best)])


@DTYPES
def test_full_profile_is_the_identity_with_scores(dtype: torch.dtype) -> None:
    chunk, compressor = make_token_chunk(dtype=dtype), make_compressor("full")

    result, _ = compressor.compress(chunk)

    assert torch.equal(result.embeddings, all_tokens(chunk))
    assert torch.equal(result.positions, chunk.positions)
    with torch.no_grad():
        scores = compressor.selector(all_tokens(chunk)[None, :24], chunk.audio[None])[0]
    torch.testing.assert_close(result.scores[24:], scores)
    assert len(set(result.scores[:24].tolist())) > 1


@pytest.mark.parametrize("selector", [SMALL, replace(SMALL, quiet_score=1.0)], ids=str)
def test_speech_profile_keeps_all_audio(selector: SelectorConfig) -> None:
    result, _ = make_compressor("speech", selector).compress(make_token_chunk())

    assert result.counts_kept == TokenCounts(video=6, audio=10)


def test_live_stream_keeps_only_audio_that_reaches_the_quiet_score() -> None:
    every, few = make_compressor("live"), make_compressor("live", CALIBRATED)
    one_anchor = CrossChunkConfig(audio_anchor_ratio=0.01)
    few = TokenCompressor(replace(few.config, cross_chunk=one_anchor))

    counts = set()
    for seed in range(8):
        chunk = make_token_chunk(seed, num_audio=30)
        (budget, _), (kept, _) = every.compress(chunk), few.compress(chunk)
        is_heard = (budget.modality == Modality.VIDEO) | (budget.scores >= 0.57)
        assert set(kept.kept.tolist()) == {*budget.kept[is_heard].tolist(), 24 + 15}
        counts.add(kept.counts_kept.audio)
    assert min(counts) < max(counts) < budget.counts_kept.audio


def test_silent_live_stream_keeps_anchors_at_even_distances() -> None:
    silent = make_compressor("live", replace(SMALL, quiet_score=1.0))

    result, _ = silent.compress(make_token_chunk(num_audio=30))

    audio = (result.kept[result.modality == Modality.AUDIO] - 24).tolist()
    assert audio == evenly_spaced(30, num_kept(30, CrossChunkConfig().audio_anchor_ratio)).tolist()


@PROFILES
def test_a_quiet_score_leaves_other_profiles_alone(profile: str) -> None:
    chunk = make_token_chunk()

    ranked, _ = make_compressor(profile).compress(chunk)
    calibrated, _ = make_compressor(profile, CALIBRATED).compress(chunk)

    is_same = torch.equal(ranked.kept, calibrated.kept)
    assert is_same == (profile != "live")


def test_live_stream_spends_less_on_a_still_scene() -> None:
    compressor, state, kept = make_compressor("live"), None, []
    still = make_token_chunk(grid_sizes=(40,), num_audio=10)
    still = TokenChunk(
        still.grids * 2, still.audio, make_token_chunk(grid_sizes=(40, 40)).positions, 0.0
    )

    for number in range(16):
        result, state = compressor.compress(replace(still, start_s=2.0 * number), state)
        kept.append(result.counts_kept)

    budget, floor = num_kept(40, 0.23), num_kept(40, 0.05)
    still_counts = TokenCounts(2 * floor, 5)
    fresh_counts = TokenCounts(budget + floor, 5)  # the first grid has no reference
    assert kept == [fresh_counts, *[still_counts] * 14, fresh_counts]


def test_live_stream_starts_afresh_after_a_gap() -> None:
    compressor = make_compressor("live")
    chunk = make_token_chunk()
    _, state = compressor.compress(chunk)

    alone, _ = compressor.compress(replace(chunk, start_s=6.0))
    after_gap, _ = compressor.compress(replace(chunk, start_s=6.0), state)

    assert_same(alone, after_gap)


def test_live_state_is_a_cache_that_changes_no_paper_result() -> None:
    _, state = make_compressor("live").compress(make_token_chunk(0))
    chunk = make_token_chunk(1, start_s=2.0)

    with_state, after = make_compressor("paper-25").compress(chunk, state)
    without, _ = make_compressor("paper-25").compress(chunk)

    assert_same(with_state, without)
    assert after.grid is None


@PROFILES
@SELECTORS
@DTYPES
def test_batch_equals_loop(profile: str, selector: SelectorConfig, dtype: torch.dtype) -> None:
    shapes = [((12, 12), 10), ((12, 12), 10), ((12, 7), 10), ((), 4), ((12, 12), 0), ((12, 12), 10)]
    compressor = make_compressor(profile, selector)
    looped: list[StreamState | None] = [None] * len(shapes)
    batched: list[StreamState | None] = [None] * len(shapes)

    for number in range(4):
        chunks = [
            make_token_chunk(
                row + 10 * (number // 2),  # every scene shows twice
                grid_sizes=sizes,
                num_audio=num_audio,
                dtype=dtype,
                start_s=2.0 * number,
            )
            for row, (sizes, num_audio) in enumerate(shapes)
        ]
        together = compressor.compress_batch(chunks, batched)
        for row, (result, state) in enumerate(together):
            alone, looped[row] = compressor.compress(chunks[row], looped[row])
            assert_same(result, alone)
            batched[row] = state


def test_empty_batch_gives_nothing() -> None:
    assert make_compressor().compress_batch([], []) == []


def test_states_must_match_chunks() -> None:
    with pytest.raises(ValueError, match="zip"):
        make_compressor().compress_batch([make_token_chunk()], [])


@PROFILES
def test_inputs_are_not_modified_nor_shared(profile: str) -> None:
    chunk, twin = make_token_chunk(), make_token_chunk()
    compressor = make_compressor(profile)
    state = StreamState(chunk.grids[0].clone(), end_s=0.0)

    result, after = compressor.compress(chunk, state)
    result.embeddings.fill_(7)
    result.positions.fill_(7)

    assert torch.equal(all_tokens(chunk), all_tokens(twin))
    assert torch.equal(chunk.positions, twin.positions)
    assert state.grid is not None
    assert torch.equal(state.grid, twin.grids[0])
    if after.grid is not None:
        after.grid.fill_(7)
        assert torch.equal(all_tokens(chunk), all_tokens(twin))


def test_wrong_width_is_refused_and_named() -> None:
    chunks = [make_token_chunk(), make_token_chunk(hidden_size=16)]

    with pytest.raises(
        ValueError, match="chunk 1: embeddings have D=16, the compressor is for D=24"
    ):
        make_compressor().compress_batch(chunks, [None, None])


def test_nan_is_refused_and_named_unless_unchecked() -> None:
    chunk = make_token_chunk()
    chunk.grids[0][2, 1] = float("nan")

    with pytest.raises(ValueError, match="chunk 0: video grid 0"):
        make_compressor().compress(chunk)
    unchecked = TokenCompressor(replace(make_compressor().config, is_checked_finite=False))
    assert unchecked.compress(chunk)[0].counts_kept == TokenCounts(6, 5)


@PROFILES
@SELECTORS
@DTYPES
@pytest.mark.parametrize("grid_sizes", [(12, 12), (12, 9), (12,), ()], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_value_is_found_wherever_it_is(
    value: float,
    grid_sizes: tuple[int, ...],
    dtype: torch.dtype,
    selector: SelectorConfig,
    profile: str,
) -> None:
    compressor = make_compressor(profile, selector)
    first = make_token_chunk(0, grid_sizes=grid_sizes, dtype=dtype)
    _, state = compressor.compress(first)
    num_parts = len(first.grids) + 1

    for seed in range(12):
        chunk = make_token_chunk(seed // 6, grid_sizes=grid_sizes, dtype=dtype, start_s=2.0)
        part = [*chunk.grids, chunk.audio][seed % num_parts]
        part[seed % len(part), 2 * seed] = value
        with pytest.raises(ValueError, match=r"chunk 1: .* has 1 values that are NaN or infinite"):
            compressor.compress_batch([first, chunk], [None, state])


def test_same_configuration_gives_the_same_selector() -> None:
    one, other = make_compressor(), make_compressor()

    assert torch.equal(one.selector.a_proj.weight, other.selector.a_proj.weight)


def test_selector_may_be_shared() -> None:
    first = make_compressor("paper-25")

    second = TokenCompressor(make_compressor("full").config, first.selector)

    assert second.selector is first.selector


def test_starts_in_eval_mode_and_builds_no_graph() -> None:
    compressor = make_compressor()

    result, _ = compressor.compress(make_token_chunk())

    assert not compressor.training
    assert not result.embeddings.requires_grad
    assert not result.scores.requires_grad


@PROFILES
@DTYPES
def test_training_values_equal_evaluation_values(dtype: torch.dtype, profile: str) -> None:
    chunk, compressor = make_token_chunk(dtype=dtype), make_compressor(profile, CALIBRATED)

    evaluated, _ = compressor.compress(chunk)
    trained, _ = compressor.train().compress(chunk)

    assert torch.equal(trained.embeddings, evaluated.embeddings)
    assert torch.equal(trained.kept, evaluated.kept)


@SELECTORS
@pytest.mark.parametrize("profile", ["paper-25", "live", "full"])
def test_gradient_reaches_every_parameter_of_the_selector(
    profile: str, selector: SelectorConfig
) -> None:
    compressor = make_compressor(profile, selector).train()
    chunks = [make_token_chunk(seed) for seed in range(2)]

    results = compressor.compress_batch(chunks, [None, None])
    sum(result.embeddings.square().sum() for result, _ in results).backward()  # type: ignore[union-attr]  # sum of tensors

    for name, parameter in compressor.selector.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


def test_only_kept_audio_gets_gradient_and_video_none_from_the_selector() -> None:
    compressor = make_compressor().train()
    chunk = make_token_chunk()
    audio = chunk.audio.clone().requires_grad_()
    compressor.selector.requires_grad_(requires_grad=False)

    result, _ = compressor.compress(replace(chunk, audio=audio))
    result.embeddings.sum().backward()

    kept = {index - 24 for index in result.kept.tolist() if index >= 24}
    assert audio.grad is not None
    touched = {i for i in range(10) if bool((audio.grad[i] != 0).any())}
    assert touched == kept
