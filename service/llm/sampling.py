"""Draws tokens from logits. Knows nothing about text; the same seed and logits give the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from service.llm.engine import Sampling

MAX_SEED = 2**64


def check_sampling(sampling: Sampling) -> None:
    """Raise ValueError unless every value is in its range."""
    if sampling.max_tokens < 1:
        raise ValueError(f"max_tokens must be 1 or more, got {sampling.max_tokens}")
    if not 0 <= sampling.temperature < float("inf"):
        raise ValueError(f"temperature must be 0 or more, got {sampling.temperature}")
    if not 0 < sampling.top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {sampling.top_p}")
    if sampling.seed is not None and not 0 <= sampling.seed < MAX_SEED:
        raise ValueError(f"seed must be 0 or more and below 2**64, got {sampling.seed}")
    if "" in sampling.stop:
        raise ValueError("a stop string must not be empty")


@dataclass(frozen=True, slots=True)
class Dice:
    """How one request draws, with the state of its own random numbers.

    Attributes:
        temperature: Above 0.
        top_p: Nucleus in (0, 1].
    """

    temperature: float
    top_p: float
    generator: torch.Generator


def make_dice(sampling: Sampling) -> Dice | None:
    """Return the dice of a request; None if it is greedy."""
    if sampling.temperature == 0:
        return None
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    return Dice(sampling.temperature, sampling.top_p, generator)


class TokenSampler:
    """Draws among the allowed tokens.

    Args:
        allowed: `[V]` bool, False for tokens that must never be generated; at least one True.
    """

    def __init__(self, allowed: Tensor) -> None:
        self._forbidden = ~allowed

    @torch.inference_mode()
    def draw(self, logits: Tensor, dice: Sequence[Dice | None]) -> list[int]:
        """Draw one token per row.

        Args:
            logits: `[B, V]`.
            dice: One per row; None for the likeliest token.
        """
        allowed = logits.float().masked_fill(self._forbidden, -torch.inf)
        tokens: list[int] = allowed.argmax(dim=-1).tolist()
        for row, each in enumerate(dice):
            if each is not None:
                tokens[row] = _roll(allowed[row].cpu(), each)
        return tokens


def _roll(logits: Tensor, dice: Dice) -> int:
    """Invert the distribution function of the nucleus at a random point."""
    scaled = (logits - logits.max()) / dice.temperature
    probabilities, tokens = scaled.double().softmax(dim=-1).sort(descending=True, stable=True)
    cumulative = probabilities.cumsum(dim=-1)
    # the nucleus ends with the token that reaches top_p
    size = int((cumulative < dice.top_p).sum()) + 1
    nucleus = cumulative[: min(size, int((probabilities > 0).sum()))]
    point = torch.rand(1, generator=dice.generator, dtype=torch.float64) * nucleus[-1]
    return int(tokens[min(int(torch.searchsorted(nucleus, point, right=True)), len(nucleus) - 1)])
