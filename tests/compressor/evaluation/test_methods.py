import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.evaluation.exam import Paper
from compressor.evaluation.methods import (
    LIVE,
    LIVE_RATIO,
    METHODS,
    RATIOS,
    Entry,
    as_many,
    build,
    entries,
)
from compressor.keep import num_kept
from compressor.tokens import TokenCounts
from compressor.training.student import Student, selector_config


def test_full_tokens_are_asked_once() -> None:
    found = entries(("full", "random"), (0.5, 0.25))

    assert found == [Entry("full", 1.0), Entry("random", 0.5), Entry("random", 0.25)]


def test_with_the_live_profile_the_others_are_asked_at_its_tokens_too() -> None:
    found = entries(("full", LIVE, "random"), (0.25, 0.15))

    assert [entry for entry in found if entry.is_at_live] == [
        Entry("random", LIVE_RATIO, is_at_live=True)
    ]


@given(st.integers(1, 128), st.integers(1, 50), st.integers(1, 40))
def test_as_many_tokens_are_spread_evenly(video: int, audio: int, num_chunks: int) -> None:
    kept = TokenCounts(max(2, video) * num_chunks, audio * num_chunks)

    ratios = as_many(kept, num_chunks)

    by_chunk = 2 * num_kept(64, ratios[0]) + num_kept(50, ratios[1])
    assert abs(by_chunk - kept.total / num_chunks) <= 1
    assert abs(2 * num_kept(64, ratios[0]) - kept.video / num_chunks) <= 1


@pytest.mark.parametrize("method", [method for method in METHODS if method not in ("full", LIVE)])
def test_methods_keep_as_many_tokens_as_they_are_told(
    method: str, student: Student, paper: Paper
) -> None:
    config = selector_config(student.geometry)
    ratios = as_many(TokenCounts(12 * 10, 13 * 10), 10)
    entry = Entry(method, LIVE_RATIO, is_at_live=True)
    sizes, width = config.selector, config.hidden_size

    compressor = build(entry, student.selector, sizes, width, ratios=ratios)

    assert compressor.compress(paper.chunk(0, 0))[0].counts_kept == TokenCounts(12, 13)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_what_the_ratio_allows(
    method: str, student: Student, paper: Paper
) -> None:
    config = selector_config(student.geometry)
    entry = Entry(method, 1.0 if method == "full" else 0.25)
    compressor = build(entry, student.selector, config.selector, config.hidden_size)

    compressed, state = compressor.compress(paper.chunk(0, 0))
    later, _ = compressor.compress(paper.chunk(0, 1), state)

    budget = 178 if method == "full" else 55
    for chunk in (compressed, later):
        is_whole = len(chunk.kept) == budget
        assert len(chunk.kept) <= budget
        assert is_whole == (method != "omnisift_live")


def test_the_trained_selector_is_used_unless_said_otherwise(student: Student) -> None:
    config = selector_config(student.geometry)
    trained, untrained = (
        build(Entry(name, 0.25), student.selector, config.selector, config.hidden_size)
        for name in ("omnisift", "omnisift_untrained")
    )

    ours, theirs = (
        torch.cat([parameter.flatten() for parameter in method.parameters()])  # type: ignore[attr-defined]  # both are modules
        for method in (trained, untrained)
    )
    assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("method", ["omnisift_untrained", "random", "random_trained"])
def test_what_is_random_follows_the_seed(method: str, student: Student, paper: Paper) -> None:
    config = selector_config(student.geometry)
    one, two, again = (
        build(Entry(method, 0.25), student.selector, config.selector, config.hidden_size, seed)
        .compress(paper.chunk(0, 1))[0]
        .kept.tolist()
        for seed in (0, 1, 0)
    )

    assert one == again
    assert one != two


def test_unknown_ratios_are_refused(student: Student) -> None:
    config = selector_config(student.geometry)
    with pytest.raises(ValueError, match=r"0.9 is none of"):
        build(Entry("omnisift", 0.9), student.selector, config.selector, config.hidden_size)
    assert 0.25 in RATIOS
