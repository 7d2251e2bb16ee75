"""One session's context in the cache: header and units, kept within their limits.

Knows nothing about scheduling. Every change either happens whole or raises and changes nothing
that matters: what was removed before a later step failed would be removed again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compressor.tokens import CompressedChunk
from service.llm.context import ContextRules, ContextWindow
from service.llm.forgotten import Cause, Forgotten
from service.llm.labels import Labels
from service.llm.pages import Indices, PagePool, PoolExhausted
from service.llm.prompt import Ids, Inputs, StreamIds, header_inputs, time_shift
from service.llm.sequence import PagedSequence
from service.llm.unit import Unit

Rotate = Callable[[PagePool, Indices, Indices], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Inputs that extend a context once they are written.

    Attributes:
        inputs: What to write.
        labels: Of the inputs.
        chunks: The chunks they come from; none for the header.
        units: What is held of those that are held at all.
    """

    inputs: Inputs
    labels: Labels
    chunks: tuple[CompressedChunk, ...] = ()
    units: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What a question sees: a fork of the context, to be released by its holder.

    Attributes:
        sequence: Header and units.
        units: What is seen of each unit, oldest first.
        ids: Place of the stream's ids, for what follows.
        start_s: Stream time of the oldest unit seen; 0 without units.
        end_s: Stream time of the newest one's end.
    """

    sequence: PagedSequence
    units: tuple[Unit, ...]
    ids: StreamIds
    start_s: float
    end_s: float


class LiveContext:
    """Header, then units; the older lose tokens and ids are re-based as the stream goes on."""

    def __init__(
        self,
        pool: PagePool,
        rules: ContextRules,
        rotate: Rotate,
        *,
        header_ids: list[int],
        forgotten: Forgotten | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            pool: Where the pages come from.
            rules: What bounds the context.
            rotate: Moves keys to other positions.
            header_ids: What precedes the stream.
            forgotten: Counts what is removed.
        """
        self.sequence = PagedSequence(pool)
        self.window = ContextWindow(rules)
        inputs, self._ids = header_inputs(header_ids)
        self._header = Part(inputs, Labels.of_header(len(inputs)))
        self._rotate = rotate
        self._forgotten = forgotten or Forgotten()
        self._labels = Labels.of_header(0)

    @property
    def is_open(self) -> bool:
        """Whether the header is written."""
        return len(self._labels) > 0

    @property
    def header_tokens(self) -> int:
        """Tokens of the header, written or not."""
        return len(self._header.inputs)

    def unit(self, chunk: CompressedChunk) -> Unit:
        """Describe a chunk as a unit."""
        return self.window.rules.unit(chunk)

    def begin_header(self) -> Part:
        """Reserve room for the header. Raises `PoolExhausted`."""
        self.sequence.reserve(len(self._header.inputs))
        return self._header

    def make_room(self, *chunks: CompressedChunk) -> tuple[Unit, ...]:
        """Remove what exceeds the session's limits once chunks are held, and re-base ids for them.

        Args:
            chunks: In order, one or more.

        Returns:
            The units that they become; those of which nothing would be left are missing.

        Raises:
            PoolExhausted: There are too few free pages; try again when there are more.
            ValueError: A chunk can never be held.
        """
        arriving = [self.unit(chunk) for chunk in chunks]
        held = self.window.after(*arriving)
        units = tuple(unit for unit in held if unit.index >= arriving[0].index)
        self._hold(held[: len(held) - len(units)], "budget")
        self._rebase(self.window.rules.horizon.origin(units[-1].start_id))
        return units

    def begin(self, *chunks: CompressedChunk) -> Part:
        """Make room for chunks and reserve their pages; raises as `make_room` does.

        What a later one of them leaves of an earlier one is all that is written of that.
        """
        units = self.make_room(*chunks)
        self.sequence.reserve(sum(unit.num_tokens for unit in units))
        of_unit = {self.unit(chunk).index: chunk for chunk in chunks}
        written = [self._written(of_unit[unit.index], unit) for unit in units]
        embeddings, ids, labels = zip(*written, strict=True)
        inputs = Inputs(torch.cat(embeddings), np.concatenate(ids, axis=1))
        return Part(inputs, Labels.joined(labels), chunks, units)

    def _written(self, chunk: CompressedChunk, unit: Unit) -> tuple[Tensor, Ids, Labels]:
        """Choose what is written of a chunk: embeddings, ids, labels."""
        labels, ids = Labels.of_chunk(chunk, unit.index), self._ids
        if self.window.rules.is_sink(unit.index):
            ids = ids.moved_to(0)  # where it would have been written live, and have stayed
        if unit.num_tokens == len(labels):
            return chunk.embeddings, ids.of(chunk), labels
        tokens = np.flatnonzero(labels.held_by([unit]))
        rows = chunk.embeddings[torch.from_numpy(tokens).to(chunk.embeddings.device)]
        return rows, ids.of(chunk)[:, tokens], labels.take(tokens)

    def commit(self, part: Part) -> None:
        """Count a part as held; all of it is written."""
        self._labels = Labels.joined([self._labels, part.labels])
        assert len(self._labels) == self.sequence.length, "committed before it was written"
        if not part.chunks:
            return
        self._forgotten.count([self.unit(chunk) for chunk in part.chunks], part.units, "budget")
        self.window.hold([*self.window.units, *part.units])
        for chunk in part.chunks:
            self._ids = self._ids.after(chunk)

    def rollback(self, *, scrub: bool) -> None:
        """Forget what is written of a part that failed; `scrub` if it may hold NaN."""
        self.sequence.truncate(len(self._labels), scrub=scrub)

    def shrink(self, num_tokens: int) -> None:
        """Give up so many tokens or more, by the policy; no part may be under way.

        Raises:
            PoolExhausted: Nothing has changed.
        """
        units = self.window.within(max(self.window.num_tokens - num_tokens, 0))
        self._hold(units, "pages")

    def view(self, window_s: float | None = None, at_s: float | None = None) -> View:
        """Fork all that is committed, or a part of it; see `ContextWindow.seen`.

        Raises:
            MomentNotHeld: Nothing of that part is held.
            PoolExhausted: There are too few free pages.
        """
        seen = self.window.seen(window_s, at_s)
        sequence = self.sequence.fork(len(self._labels))
        if len(seen) < len(self.window.units):
            try:
                sequence.retain(self._labels.held_by(seen))
            except PoolExhausted:
                sequence.release()
                raise
        return View(
            sequence=sequence,
            units=seen,
            # as if the stream had gone no further
            ids=self._ids if at_s is None else self._ids.ending_with(seen[-1].next_id),
            start_s=seen[0].start_s if seen else 0.0,
            end_s=seen[-1].end_s if seen else 0.0,
        )

    def release(self) -> None:
        """Give back every page."""
        self.sequence.release()

    def _hold(self, units: Sequence[Unit], cause: Cause) -> None:
        """Remove all tokens that these units do not hold; raises `PoolExhausted`."""
        held = self.window.units
        if tuple(units) == held:
            return
        keep = self._labels.held_by(units)
        if not keep.all():
            self._labels = self._labels.take(self.sequence.retain(keep))
        self._forgotten.count(held, units, cause)
        self.window.hold(units)

    def _rebase(self, origin: int) -> None:
        """Move units to the ids they have under another origin; raises `PoolExhausted`.

        Header and sinks, whose labels are lower than all others, keep their place.
        """
        if origin == self._ids.origin:
            return
        tokens = np.flatnonzero(self._labels.unit_of >= self.window.rules.policy.num_sinks)
        self.sequence.own()
        slots = self.sequence.slots(0, self.sequence.length)[tokens]
        self._rotate(
            self.sequence.pool,
            slots,
            time_shift(self._labels.is_audio[tokens], self._ids.origin - origin),
        )
        self._ids = self._ids.moved_to(origin)
