"""Which tokens are drawn, and how often."""

import pytest
import torch
from torch import Tensor

from service.llm.engine import Sampling
from service.llm.sampling import TokenSampler, check_sampling, make_dice

ALL = torch.ones(6, dtype=torch.bool)
LOGITS = torch.tensor([[0.2, 0.05, 0.4, 0.1, 0.25, 1e-9]]).log()


def draws(num: int, sampling: Sampling, *, allowed: Tensor = ALL) -> list[int]:
    dice = make_dice(sampling)
    sampler = TokenSampler(allowed)
    return [sampler.draw(LOGITS, [dice])[0] for _ in range(num)]


def test_zero_temperature_takes_the_likeliest() -> None:
    assert draws(3, Sampling(seed=1)) == [2, 2, 2]


def test_forbidden_tokens_are_never_drawn() -> None:
    allowed = torch.tensor([True, True, False, True, True, False])

    assert draws(1, Sampling(), allowed=allowed) == [4]
    assert set(draws(300, Sampling(temperature=3.0, seed=1), allowed=allowed)) == {0, 1, 3, 4}


def test_same_seed_draws_the_same() -> None:
    first = draws(50, Sampling(temperature=1.0, seed=7))

    assert draws(50, Sampling(temperature=1.0, seed=7)) == first
    assert draws(50, Sampling(temperature=1.0, seed=8)) != first


def test_without_a_seed_draws_differ() -> None:
    assert draws(50, Sampling(temperature=1.0)) != draws(50, Sampling(temperature=1.0))


def test_frequencies_follow_the_distribution() -> None:
    drawn = draws(4000, Sampling(temperature=1.0, seed=3))

    counts = torch.bincount(torch.tensor(drawn), minlength=6) / 4000
    torch.testing.assert_close(counts, LOGITS[0].exp(), atol=0.03, rtol=0)


def test_low_temperature_sharpens() -> None:
    drawn = draws(1000, Sampling(temperature=0.5, seed=3))

    squares = LOGITS[0].exp() ** 2
    counts = torch.bincount(torch.tensor(drawn), minlength=6) / 1000
    torch.testing.assert_close(counts, squares / squares.sum(), atol=0.05, rtol=0)
    assert set(draws(50, Sampling(temperature=1e-6, seed=3))) == {2}


@pytest.mark.parametrize(
    ("top_p", "nucleus"), [(0.01, {2}), (0.39, {2}), (0.5, {2, 4}), (0.7, {0, 2, 4})]
)
def test_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, nucleus: set[int]) -> None:
    assert set(draws(500, Sampling(temperature=1.0, top_p=top_p, seed=5))) == nucleus


def test_requests_in_a_batch_draw_as_if_alone() -> None:
    sampler = TokenSampler(ALL)
    ways = [Sampling(), Sampling(temperature=1.0, seed=1), Sampling(temperature=2.0, seed=2)]
    alone = [draws(20, way) for way in ways]
    dice = [make_dice(way) for way in ways]

    together = [sampler.draw(LOGITS.repeat(3, 1), dice) for _ in range(20)]

    assert [list(column) for column in zip(*together, strict=True)] == alone


def test_half_precision_logits_are_drawn_in_full_precision() -> None:
    assert TokenSampler(ALL).draw(LOGITS.bfloat16(), [make_dice(Sampling())]) == [2]


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(max_tokens=0), "max_tokens must be 1 or more, got 0"),
        (Sampling(temperature=-0.1), "temperature must be 0 or more"),
        (Sampling(temperature=float("nan")), "temperature must be 0 or more"),
        (Sampling(top_p=0.0), "top_p must be above 0"),
        (Sampling(top_p=1.1), "top_p must be above 0"),
        (Sampling(seed=-1), "seed must be 0 or more"),
        (Sampling(seed=2**64), "below 2"),
        (Sampling(stop=("a", "")), "stop string must not be empty"),
    ],
)
def test_values_out_of_range_are_named(sampling: Sampling, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_sampling(sampling)


def test_default_sampling_is_valid() -> None:
    check_sampling(Sampling())
