"""What of a stream stays in context, and when ids are re-based. Pure: knows nothing about caches.

The granule is a unit: the tokens of one chunk. The header is no unit; it is never dropped. Which
units are held, and with how many tokens, is a function of the units that came (`ContextRules`), so
the end of a log is enough to decide it again. Units that go for want of pages are the exception.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from compressor.tokens import CompressedChunk, TokenCounts
from service.errors import MomentNotHeld
from service.llm.policy import NOTHING, Policy
from service.llm.unit import Unit, unit_of
from service.media.chunk import CHUNK_S


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far the ids of a sequence may reach.

    Of the ids that the stream may take, 5/6 are for the units held, 1/6 for it to advance before
    ids are re-based. The origin depends on the position in the stream alone, so that a replica
    which rebuilds a context from the log gives it the same ids.

    Attributes:
        max_positions: The model's `max_position_embeddings`; 3/4 of them at most are for the
            stream, the rest for the header and what follows the stream.
        trained_ids: Ids of the longest stream that the model was trained with; None: it says
            nothing about that.
    """

    max_positions: int
    trained_ids: int | None = None

    @property
    def stream_ids(self) -> int:
        """Ids that the stream may take."""
        most = self.max_positions * 3 // 4
        return most if self.trained_ids is None else min(most, self.trained_ids)

    @property
    def span(self) -> int:
        """Ids from the oldest unit's start to the newest one's, at most."""
        return self.stream_ids * 5 // 6

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
        step = max(self.stream_ids // 6, 1)
        return max(start_id - self.span, 0) // step * step


@dataclass(frozen=True, slots=True)
class ContextRules:
    """What bounds a context; the same for all sessions of an engine.

    Attributes:
        max_tokens: Stream tokens held.
        horizon: How far ids may reach.
        ids_per_s: Ids per second of stream.
        policy: What is held within the budget.

    Raises:
        ValueError: If the policy's sinks would take half of the horizon or more.
    """

    max_tokens: int
    horizon: Horizon
    ids_per_s: int
    policy: Policy

    def __post_init__(self) -> None:
        if self.sink_ids * 2 > self.horizon.span:
            raise ValueError(
                f"{self.policy.num_sinks} sinks take {self.sink_ids} ids, over half of the "
                f"{self.horizon.span} that the stream has"
            )

    @property
    def sink_ids(self) -> int:
        """Ids from stream time zero that belong to sinks; nothing is re-based to them."""
        return int(self.policy.num_sinks * CHUNK_S * self.ids_per_s)

    @property
    def span(self) -> int:
        """Ids from the oldest unit's start to the newest one's, at most; sinks apart."""
        return self.horizon.span - self.sink_ids

    def unit(self, chunk: CompressedChunk) -> Unit:
        """Describe a chunk as a unit that holds all of it."""
        return unit_of(chunk, self.ids_per_s)

    def is_sink(self, index: int) -> bool:
        """Whether a unit keeps its place at the stream's start, however long the stream lasts."""
        return index < self.policy.num_sinks

    def admits(self, unit: Unit) -> bool:
        """Whether a unit can be held at all."""
        return self.policy.admits(unit.arrived, self.max_tokens)

    def held(self, units: Sequence[Unit], max_tokens: int | None = None) -> list[Unit]:
        """Decide what is held once the last of these units has come.

        Units of which nothing is left go as soon as they are the oldest, sinks apart.

        Args:
            units: Oldest first; they may have been reduced before.
            max_tokens: A smaller budget than usual.
        """
        oldest_id = units[-1].start_id - self.span if units else 0
        near = [unit for unit in units if self.is_sink(unit.index) or unit.start_id >= oldest_id]
        plan = self.policy.plan(near, self.max_tokens if max_tokens is None else max_tokens)
        reduced = [unit.reduced_to(counts) for unit, counts in zip(near, plan, strict=True)]
        rest = [unit for unit in reduced if not self.is_sink(unit.index)]
        num_gone = next((n for n, unit in enumerate(rest) if unit.num_tokens), len(rest))
        sinks = [unit for unit in reduced if self.is_sink(unit.index) and unit.num_tokens]
        return sinks + rest[num_gone:]

    def is_full(self, units: Sequence[Unit], before: int) -> bool:
        """Whether nothing of older units that are no sinks is held beside these.

        Args:
            units: Oldest first; the last one is the newest of the stream.
            before: The older units' indices are below this.
        """
        if not units:
            return False
        latest_id = int((before - 1) * CHUNK_S * self.ids_per_s)
        is_beyond = latest_id < units[-1].start_id - self.span
        return is_beyond or self.policy.is_full(units, self.max_tokens)


class ContextWindow:
    """The units of one session, by the rules."""

    def __init__(self, rules: ContextRules) -> None:
        self.rules = rules
        self._units: tuple[Unit, ...] = ()
        self._held = NOTHING
        self._held_s = 0.0

    @property
    def units(self) -> tuple[Unit, ...]:
        """What is held, oldest first; a new tuple with every change."""
        return self._units

    @property
    def held(self) -> TokenCounts:
        """Tokens held by modality."""
        return self._held

    @property
    def held_s(self) -> float:
        """Seconds of stream of which anything is held."""
        return self._held_s

    @property
    def num_tokens(self) -> int:
        return self._held.total

    def after(self, *units: Unit) -> tuple[Unit, ...]:
        """Decide what is held once these have come, one or more; the last is there in any case.

        All at once or one after another gives the same.

        Raises:
            ValueError: If one cannot come: it is too large, or is not newer than all before it.
        """
        last_index = self._units[-1].index if self._units else None
        for unit in units:
            if not self.rules.admits(unit):
                raise ValueError(f"{unit.arrived}, but the budget is {self.rules.max_tokens}")
            if last_index is not None and unit.index <= last_index:
                raise ValueError(f"index {unit.index} after {last_index}")
            last_index = unit.index
        held = self.rules.held([*self._units, *units])
        if not held or held[-1].index != last_index:
            held.append(units[-1].reduced_to(NOTHING))  # it has been seen, though nothing is left
        return tuple(held)

    def within(self, num_tokens: int) -> tuple[Unit, ...]:
        """Decide what is held in the largest budget that leaves no more than so many tokens."""
        fits, exceeds = 0, self.rules.max_tokens + 1
        while exceeds - fits > 1:
            budget = (fits + exceeds) // 2
            held = sum(unit.num_tokens for unit in self.rules.held(self._units, budget))
            fits, exceeds = (budget, exceeds) if held <= num_tokens else (fits, budget)
        return tuple(self.rules.held(self._units, fits))

    def hold(self, units: Sequence[Unit]) -> None:
        """Hold these units from now on, oldest first."""
        self._units = tuple(units)
        video = sum(unit.held.video for unit in units)
        self._held = TokenCounts(video, sum(unit.held.audio for unit in units))
        self._held_s = sum(unit.end_s - unit.start_s for unit in units if unit.num_tokens)
        assert self.num_tokens <= self.rules.max_tokens, "more tokens than the budget"

    def seen(self, window_s: float | None, at_s: float | None) -> tuple[Unit, ...]:
        """Choose the units that a question sees, oldest first.

        Args:
            window_s: Only the last so many seconds; None: all.
            at_s: Up to the unit of this stream time; None: up to the newest.

        Raises:
            MomentNotHeld: Nothing of that stretch is held.
        """
        last_s = self._units[-1].end_s if self._units else 0.0
        end_s = last_s if at_s is None else at_s
        start_s = 0.0 if window_s is None else end_s - window_s
        is_reached = at_s is None or at_s <= last_s
        seen = tuple(
            unit
            for unit in self._units
            if unit.end_s > start_s and (at_s is None or unit.start_s < at_s)
        )
        if at_s is not None and not (is_reached and any(unit.num_tokens for unit in seen)):
            first_s = next((unit.start_s for unit in self._units if unit.num_tokens), last_s)
            raise MomentNotHeld(at_s=at_s, start_s=first_s, end_s=last_s)
        return seen


def spans(units: Sequence[Unit]) -> tuple[tuple[float, float], ...]:
    """Merge units, oldest first, into stretches of stream time; those without tokens left out."""
    merged: list[tuple[float, float]] = []
    for unit in units:
        if unit.num_tokens and merged and merged[-1][1] == unit.start_s:
            merged[-1] = (merged[-1][0], unit.end_s)
        elif unit.num_tokens:
            merged.append((unit.start_s, unit.end_s))
    return tuple(merged)
