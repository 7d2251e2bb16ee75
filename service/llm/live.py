"""One session's context in the cache: header and units, kept within their limits.

Knows nothing about scheduling. Every change either happens whole or raises and changes nothing
that matters: what was dropped before a later step failed would be dropped again.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.tokens import CompressedChunk
from service.llm.context import ContextWindow, Unit
from service.llm.pages import Indices, PagePool, PoolExhausted
from service.llm.prompt import Inputs, StreamIds, header_inputs, is_audio, time_shift
from service.llm.sequence import PagedSequence
from service.media.chunk import CHUNK_S

HEADER = -1  # in place of a unit's index

Rotate = Callable[[PagePool, Indices, Indices], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Inputs that extend a context once they are written.

    Attributes:
        inputs: What to write.
        chunk: The chunk they come from; None for the header.
    """

    inputs: Inputs
    chunk: CompressedChunk | None


@dataclass(frozen=True, slots=True)
class View:
    """What a question sees: a fork of the context, to be released by its holder.

    Attributes:
        sequence: Header and units.
        ids: Place of the stream's ids, for what follows.
        start_s: Stream time of the oldest unit seen; 0 without units.
        end_s: Stream time of the newest one's end.
    """

    sequence: PagedSequence
    ids: StreamIds
    start_s: float
    end_s: float


class LiveContext:
    """Header, then units; the oldest are dropped and ids re-based as the stream goes on."""

    def __init__(
        self,
        pool: PagePool,
        window: ContextWindow,
        rotate: Rotate,
        *,
        header_ids: list[int],
        ids_per_s: int,
    ) -> None:
        self.sequence = PagedSequence(pool)
        self.window = window
        inputs, self._ids = header_inputs(header_ids)
        self._header = Part(inputs, None)
        self._rotate = rotate
        self._ids_per_s = ids_per_s
        self._unit_of = np.empty(0, dtype=np.int64)
        self._is_audio = np.empty(0, dtype=np.bool_)

    @property
    def is_open(self) -> bool:
        """Whether the header is written."""
        return len(self._unit_of) > 0

    def unit(self, chunk: CompressedChunk) -> Unit:
        """Describe a chunk as a unit."""
        return Unit(
            index=round(chunk.start_s / CHUNK_S),
            num_tokens=len(chunk.embeddings),
            start_id=int(chunk.start_s * self._ids_per_s),
            start_s=chunk.start_s,
            end_s=chunk.start_s + CHUNK_S,
        )

    def begin_header(self) -> Part:
        """Reserve room for the header. Raises `PoolExhausted`."""
        self.sequence.reserve(len(self._header.inputs))
        return self._header

    def make_room(self, chunk: CompressedChunk) -> None:
        """Drop what exceeds the session's limits once the chunk is held, and re-base ids for it.

        Raises:
            PoolExhausted: There are too few free pages; try again when there are more.
            ValueError: The chunk can never be held.
        """
        unit = self.unit(chunk)
        self.drop(self.window.to_drop(unit))
        self._rebase(self.window.horizon.origin(unit.start_id))

    def begin(self, chunk: CompressedChunk) -> Part:
        """Make room for a chunk and reserve its pages; raises as `make_room` does."""
        self.make_room(chunk)
        self.sequence.reserve(len(chunk.embeddings))
        return Part(Inputs(chunk.embeddings, self._ids.of(chunk)), chunk)

    def commit(self, part: Part) -> None:
        """Count a part as held; all of it is written."""
        if part.chunk is None:
            self._label(HEADER, np.zeros(len(part.inputs), dtype=np.bool_))
            return
        unit = self.unit(part.chunk)
        self._label(unit.index, is_audio(part.chunk))
        self.window.push(unit)
        self._ids = self._ids.after(part.chunk)

    def rollback(self, *, scrub: bool) -> None:
        """Forget what is written of a part that failed; `scrub` if it may hold NaN."""
        self.sequence.truncate(len(self._unit_of), scrub=scrub)

    def drop(self, indices: Collection[int]) -> None:
        """Remove units; no part may be under way. Raises `PoolExhausted`."""
        if not indices:
            return
        order = self.sequence.retain(~np.isin(self._unit_of, list(indices)))
        self._unit_of, self._is_audio = self._unit_of[order], self._is_audio[order]
        self.window.drop(indices)

    def view(self, window_s: float | None) -> View:
        """Fork all that is committed, or its last `window_s` seconds. Raises `PoolExhausted`."""
        outside = [] if window_s is None else self.window.outside(window_s)
        sequence = self.sequence.fork(len(self._unit_of))
        if outside:
            try:
                sequence.retain(~np.isin(self._unit_of, outside))
            except PoolExhausted:
                sequence.release()
                raise
        seen = [unit for unit in self.window.units if unit.index not in outside]
        return View(
            sequence=sequence,
            ids=self._ids,
            start_s=seen[0].start_s if seen else 0.0,
            end_s=seen[-1].end_s if seen else 0.0,
        )

    def release(self) -> None:
        """Give back every page."""
        self.sequence.release()

    def _label(self, unit: int, is_audio: NDArray[np.bool_]) -> None:
        self._unit_of = np.concatenate([self._unit_of, np.full(len(is_audio), unit)])
        self._is_audio = np.concatenate([self._is_audio, is_audio])
        assert len(self._unit_of) == self.sequence.length, "committed before it was written"

    def _rebase(self, origin: int) -> None:
        """Move all units to the ids they have under another origin; raises `PoolExhausted`."""
        if origin == self._ids.origin:
            return
        tokens = np.flatnonzero(self._unit_of != HEADER)
        self.sequence.own()
        slots = self.sequence.slots(0, self.sequence.length)[tokens]
        self._rotate(
            self.sequence.pool,
            slots,
            time_shift(self._is_audio[tokens], self._ids.origin - origin),
        )
        self._ids = self._ids.moved_to(origin)
