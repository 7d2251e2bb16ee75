"""What a packed attention comes to, as tables of numbers for a kernel. Pure: no device.

A tile is some new tokens and a range of keys that they look at in the same pages. New tokens of one
sequence make tiles; so do single new tokens of its forks, over the pages with which all of these
begin. Where there are fewer tiles than a device can work on at once, the keys of long ones are
split among several. A token that is in one tile only gets its result there; one that is in several
gets parts, and these are merged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.llm.attention import Span
from service.llm.forks import num_shared_pages, probable_forks, used_pages

Ints = NDArray[np.int64]

TILE_LINES = (16, 64)  # of a tile, a line being one query head of one token: the least that fits
MIN_PIECE = 256  # keys: below, what a further part costs is no longer small beside them
PIECE_STEP = 64  # keys


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """The tables. Those of a forward's rows are in the order of its packed input.

    Attributes:
        tile_lines: Lines of a tile: the query heads of one key head, token by token.
        tiles: `[T, 5]`: first entry, number of entries, where its pages begin in `pages` (as if
            from key 0 on), first key, key behind the last.
        entries: `[E, 3]`: row in the packed input, number of keys that the token sees, number of
            its part or -1.
        merges: `[M, 3]`: row, first part, number of parts.
        slots: `[rows]`: where each new token's key and value go.
        pages: `[P]`.
        num_parts: Parts in all.
    """

    tile_lines: int
    tiles: Ints
    entries: Ints
    merges: Ints
    slots: Ints
    pages: Ints
    num_parts: int

    @property
    def size(self) -> "PlanSize":
        """Lengths of the tables."""
        return PlanSize(
            self.tile_lines,
            len(self.tiles),
            len(self.entries),
            len(self.merges),
            len(self.slots),
            len(self.pages),
            self.num_parts,
        )


@dataclass(frozen=True, slots=True)
class PlanSize:
    """Lengths of an `AttentionPlan`'s tables, and the number of its parts."""

    tile_lines: int
    tiles: int
    entries: int
    merges: int
    rows: int
    pages: int
    parts: int

    def fits_into(self, room: "PlanSize") -> bool:
        """Whether tables of that size hold it."""
        return self.tile_lines == room.tile_lines and all(
            needed <= there for needed, there in zip(astuple(self), astuple(room), strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Tile:
    rows: Ints
    seen: Ints
    table: int
    begin: int
    stop: int


def plan_attention(
    spans: Sequence[Span], *, num_heads: int, num_kv_heads: int, num_programs: int
) -> AttentionPlan:
    """Lay out one forward.

    Args:
        spans: At least one; together the rows of the packed input, in order.
        num_heads: Of queries; a multiple of `num_kv_heads`.
        num_kv_heads: Of keys and values.
        num_programs: How many programs keep the device busy.
    """
    wide, pages = _whole_tiles(spans)
    group = num_heads // num_kv_heads
    lines = _tile_lines(group, max(len(tile.rows) for tile in wide))
    tiles = [narrow for tile in wide for narrow in _by_tokens(tile, lines // group)]
    num_keys = sum(tile.stop - tile.begin for tile in tiles)
    size = piece_keys(num_keys * num_kv_heads, num_programs)
    pieces = [piece for tile in tiles for piece in _by_keys(tile, size)]

    counts = np.array([len(piece.rows) for piece in pieces])
    rows = np.concatenate([piece.rows for piece in pieces])
    parts, merges = _number_parts(rows, spans[-1].stop)
    shape = [(piece.table, piece.begin, piece.stop) for piece in pieces]
    return AttentionPlan(
        tile_lines=lines,
        tiles=np.column_stack([counts.cumsum() - counts, counts, np.array(shape)]),
        entries=np.column_stack([rows, np.concatenate([piece.seen for piece in pieces]), parts]),
        merges=merges,
        slots=np.concatenate([s.sequence.slots(s.sequence.length, s.num_keys) for s in spans]),
        pages=pages,
        num_parts=int(merges[:, 2].sum()),
    )


def decode_size(
    num_rows: int, *, tile_lines: int, group: int, num_programs: int, num_pages: int
) -> PlanSize:
    """The size of the largest plan for single new tokens, but for those that list pages often.

    Args:
        num_rows: New tokens.
        tile_lines: Lines of a tile.
        group: Query heads of one key head.
        num_programs: That keep the device busy, over one key head.
        num_pages: Of the pool.
    """
    # each row has a tile of its own and shares one at most; splitting adds less than was wanted
    num_tiles = 2 * num_rows + num_programs
    num_entries = num_tiles * min(num_rows, max(1, tile_lines // group))
    return PlanSize(
        tile_lines, num_tiles, num_entries, num_rows, num_rows, 2 * num_pages, num_entries
    )


def piece_keys(num_keys: int, num_programs: int) -> int:
    """Keys at most per program, so that about as many programs as wanted have alike to do.

    Args:
        num_keys: Of all tiles and key heads together.
        num_programs: Wanted.
    """
    even = -(-num_keys // num_programs)
    return max(MIN_PIECE, -(-even // PIECE_STEP) * PIECE_STEP)


def _tile_lines(group: int, num_tokens: int) -> int:
    """Lines of a tile that holds so many tokens, or of the largest."""
    for lines in TILE_LINES:
        if num_tokens * group <= lines:
            return lines
    return max(TILE_LINES[-1], 1 << (group - 1).bit_length())


def _whole_tiles(spans: Sequence[Span]) -> tuple[list[_Tile], Ints]:
    """One tile per set of tokens that look at the same pages, and all pages."""
    tiles: list[_Tile] = []
    pages: list[Ints] = []
    num_pages = 0
    for span in spans:
        if span.num_tokens > 1:
            rows = np.arange(span.start, span.stop)
            seen = np.arange(span.sequence.length, span.num_keys) + 1
            tiles.append(_Tile(rows, seen, num_pages, 0, span.num_keys))
            pages.append(used_pages(span))
            num_pages += len(pages[-1])
    for forks in probable_forks([span for span in spans if span.num_tokens == 1]):
        tables = [used_pages(span) for span in forks]
        page_tokens = forks[0].sequence.pool.page_tokens
        num_shared = num_shared_pages(forks, tables)
        if len(forks) == 1 or num_shared * page_tokens < MIN_PIECE:
            num_shared = 0
        begin = num_shared * page_tokens
        rows = np.array([span.start for span in forks])
        seen = np.array([span.num_keys for span in forks])
        if num_shared:
            tiles.append(_Tile(rows, seen, num_pages, 0, begin))
            pages.append(tables[0][:num_shared])
            num_pages += num_shared
        for number, table in enumerate(tables):
            own = slice(number, number + 1)
            at = num_pages - num_shared  # so that the page of key `begin` is its first own one
            tiles.append(_Tile(rows[own], seen[own], at, begin, int(seen[number])))
            pages.append(table[num_shared:])
            num_pages += len(pages[-1])
    return tiles, np.concatenate(pages)


def _by_tokens(tile: _Tile, num_tokens: int) -> Iterator[_Tile]:
    for first in range(0, len(tile.rows), num_tokens):
        rows, seen = (each[first : first + num_tokens] for each in (tile.rows, tile.seen))
        yield replace(tile, rows=rows, seen=seen, stop=min(tile.stop, int(seen.max())))


def _by_keys(tile: _Tile, size: int) -> Iterator[_Tile]:
    num_keys = tile.stop - tile.begin
    even = -(-num_keys // -(-num_keys // size))
    step = -(-even // PIECE_STEP) * PIECE_STEP
    for begin in range(tile.begin, tile.stop, step):
        yield replace(tile, begin=begin, stop=min(begin + step, tile.stop))


def _number_parts(rows: Ints, num_rows: int) -> tuple[Ints, Ints]:
    """Number the parts of each row one after another, in the order of its entries.

    Returns:
        `[E]`: the part of each entry, -1 where it is its row's only one; and the merges.
    """
    counts = np.bincount(rows, minlength=num_rows)
    order = np.argsort(rows, kind="stable")
    rank = np.empty_like(rows)
    rank[order] = np.arange(len(rows)) - (counts.cumsum() - counts)[rows[order]]
    num_parts = np.where(counts > 1, counts, 0)
    first = num_parts.cumsum() - num_parts
    merged = np.flatnonzero(counts > 1)
    parts = np.where(counts[rows] > 1, first[rows] + rank, -1)
    return parts, np.column_stack([merged, first[merged], counts[merged]])
