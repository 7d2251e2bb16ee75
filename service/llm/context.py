"""What of a stream stays in context, and when ids are re-based. Pure: knows nothing about caches.

The granule is a unit: the tokens of one chunk. The header is no unit; it is never dropped.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """One chunk in context.

    Attributes:
        index: Chunk number.
        num_tokens: Tokens it holds; 0 where nothing was kept.
        start_id: Id of its start, relative to stream time zero.
        start_s: Stream time of its start.
        end_s: Stream time of its end.
    """

    index: int
    num_tokens: int
    start_id: int
    start_s: float
    end_s: float


Policy = Callable[[Sequence[Unit], int], list[int]]
"""Takes the units held, oldest first, and how many tokens are too many (0 or less: none); returns
the indices of units whose tokens amount to that."""


def drop_oldest(units: Sequence[Unit], excess_tokens: int) -> list[int]:
    """Drop whole units, oldest first."""
    dropped = []
    for unit in units:
        if excess_tokens <= 0:
            break
        dropped.append(unit.index)
        excess_tokens -= unit.num_tokens
    return dropped


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far the ids of a sequence may reach.

    Of `max_positions`, 5/8 are for the units held, 1/8 for the stream to advance before ids are
    re-based, 1/4 for the header and what follows the stream. The origin depends on the position in
    the stream alone, so that a replica which rebuilds a context from the log gives it the same ids.

    Attributes:
        max_positions: The model's `max_position_embeddings`.
    """

    max_positions: int

    @property
    def span(self) -> int:
        """Ids from the oldest unit's start to the newest one's, at most."""
        return self.max_positions * 5 // 8

    @property
    def max_header(self) -> int:
        """Tokens of the header, at most."""
        return self.max_positions // 16

    @property
    def max_text(self) -> int:
        """Tokens of question and answer together, at most."""
        return self.max_positions * 3 // 16

    def origin(self, start_id: int) -> int:
        """Return what to subtract from ids that follow time, once a unit starts at `start_id`."""
        step = max(self.max_positions // 8, 1)
        return max(start_id - self.span, 0) // step * step


class ContextWindow:
    """The units of one session, within a budget of tokens and the model's horizon."""

    def __init__(self, *, max_tokens: int, horizon: Horizon, policy: Policy = drop_oldest) -> None:
        self.horizon = horizon
        self._max_tokens = max_tokens
        self._policy = policy
        self._units: tuple[Unit, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        """What is held, oldest first; a new tuple with every change."""
        return self._units

    @property
    def num_tokens(self) -> int:
        return sum(unit.num_tokens for unit in self._units)

    def to_drop(self, unit: Unit) -> list[int]:
        """Decide which units must go before `unit` can come.

        Raises:
            ValueError: If it cannot come: it exceeds the budget, or is not newer than all held.
        """
        if unit.num_tokens > self._max_tokens:
            raise ValueError(f"{unit.num_tokens} tokens, but the budget is {self._max_tokens}")
        if self._units and unit.index <= self._units[-1].index:
            raise ValueError(f"index {unit.index} after {self._units[-1].index}")
        oldest_id = unit.start_id - self.horizon.span
        too_old = [held.index for held in self._units if held.start_id < oldest_id]
        rest = self._units[len(too_old) :]
        excess = sum(held.num_tokens for held in rest) + unit.num_tokens - self._max_tokens
        return too_old + self._policy(rest, excess)

    def push(self, unit: Unit) -> None:
        """Hold a unit; what `to_drop` named is gone."""
        self._units = (*self._units, unit)
        assert self.num_tokens <= self._max_tokens, "a unit came before others went"

    def drop(self, indices: Container[int]) -> None:
        """Stop holding units."""
        self._units = tuple(unit for unit in self._units if unit.index not in indices)

    def outside(self, window_s: float) -> list[int]:
        """Return the units that ended `window_s` seconds or more before the newest one's end."""
        if not self._units:
            return []
        start_s = self._units[-1].end_s - window_s
        return [unit.index for unit in self._units if unit.end_s <= start_s]


def num_fitting(sizes: Sequence[int], max_tokens: int) -> int:
    """Return how many units, counted from the newest, `drop_oldest` keeps within a budget.

    Args:
        sizes: Tokens per unit, oldest first.
        max_tokens: The budget.
    """
    total = 0
    for number, size in enumerate(reversed(sizes)):
        total += size
        if total > max_tokens:
            return number
    return len(sizes)
