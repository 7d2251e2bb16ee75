"""Paged attention by Triton kernels, for CUDA: any mix of prefills, appends and decodes at once.

Imports triton, which torch's CUDA builds bring with them and its CPU builds do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
import torch
from torch import Tensor

from service.llm import triton_kernels as kernels
from service.llm.attention import Span
from service.llm.attention_plan import (
    TILE_LINES,
    AttentionPlan,
    PlanSize,
    decode_size,
    plan_attention,
)
from service.llm.pages import PagePool

LOG2_E = 1.4426950408889634
PROGRAMS_PER_PROCESSOR = 2  # of the device; one that waits for memory leaves room for another
ALIGNMENT = 4  # int32s: tables begin at 16 bytes, so that kernels are compiled for one case only


@dataclass(frozen=True, slots=True)
class Launch:
    """How the attend kernel is compiled: chosen by what ptxas says, not yet by measurement.

    Attributes:
        block_keys: Keys per turn of its loop.
        num_warps: Of a program.
        num_stages: Turns whose loads are under way at once.
    """

    block_keys: int
    num_warps: int
    num_stages: int


def launch_of(dtype: torch.dtype, block_dim: int, tile_lines: int) -> Launch:
    """Blocks that fit into the 99 KiB of shared memory that any device since sm_80 has.

    With 4 warps a tile of 64 lines spills registers; so does float32, in products without tensor
    cores, and with 128 dimensions or more even with 8.

    Args:
        dtype: Of queries, keys and values.
        block_dim: Head dimension, filled up to a power of two.
        tile_lines: Lines of a tile.
    """
    is_light = dtype.itemsize == 2 and tile_lines == TILE_LINES[0]
    is_narrow = block_dim * dtype.itemsize <= 256
    return Launch(64 if is_narrow else 32, num_warps=4 if is_light else 8, num_stages=2)


class Tables:
    """Room on the device for the tables of plans up to a size, as int32, always in one place.

    What a smaller plan leaves over does nothing: tiles without entries, merges of no parts, rows
    without a slot.

    Attributes:
        size: Of the largest plan; all of its tiles have the same lines.
        tiles: As in the plan, as are the others.
        entries: Likewise.
        merges: Likewise.
        slots: Likewise.
        pages: Likewise.
    """

    def __init__(self, size: PlanSize, device: torch.device) -> None:
        self.size = size
        shapes = [(size.tiles, 5), (size.entries, 3), (size.merges, 3), (size.rows,), (size.pages,)]
        sizes = [prod(shape) for shape in shapes]
        stops = np.cumsum([_aligned(number) for number in sizes]).tolist()
        self._starts = [0, *stops[:-1]]
        self._block = torch.empty(stops[-1], dtype=torch.int32, device=device)
        self.tiles, self.entries, self.merges, self.slots, self.pages = (
            self._block[start : start + number].view(shape)
            for start, number, shape in zip(self._starts, sizes, shapes, strict=True)
        )

    def load(self, plan: AttentionPlan) -> None:
        """Copy a plan that fits to the device, as one block of memory."""
        assert plan.size.fits_into(self.size), f"{plan.size} does not fit into {self.size}"
        arrays = (plan.tiles, plan.entries, plan.merges, plan.slots, plan.pages)
        # pages come last: those that are not used need not be copied
        block = np.zeros(self._starts[-1] + plan.pages.size, dtype=np.int32)
        for start, array in zip(self._starts, arrays, strict=True):
            block[start : start + array.size] = array.ravel()
        slots = self._starts[3]
        block[slots + plan.slots.size : slots + self.size.rows] = -1
        self._block[: block.size].copy_(torch.from_numpy(block), non_blocking=True)


class TritonAttention:
    """Attention of one forward: two or three kernels per layer."""

    def __init__(self, pool: PagePool, tables: Tables) -> None:
        self._pool = pool
        self._tables = tables

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        # kernels take the numbers of a head to lie side by side
        query, key, value = (
            x if x.stride(-1) == 1 else x.contiguous() for x in (query, key, value)
        )
        keys, values = self._pool.keys[layer], self._pool.values[layer]
        self._write(key, value, keys, values)
        num_heads, num_rows, head_dim = query.shape
        out = query.new_empty(num_rows, num_heads, head_dim)
        num_parts = max(self._tables.size.parts, 1)
        parts = query.new_empty((num_parts, num_heads, head_dim), dtype=torch.float32)
        weights = query.new_empty((num_parts, num_heads), dtype=torch.float32)
        self._attend(query, keys, values, out, parts, weights, scale)
        if len(self._tables.merges):
            kernels.merge[(len(self._tables.merges), num_heads)](
                parts,
                weights,
                out,
                self._tables.merges,
                NUM_HEADS=num_heads,
                HEAD_DIM=head_dim,
                BLOCK_DIM=padded_dim(head_dim),
            )
        return out

    def _write(self, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> None:
        num_kv_heads, num_rows, head_dim = key.shape
        kernels.write[(num_rows,)](
            key,
            value,
            keys,
            values,
            self._tables.slots,
            key.stride(0),
            key.stride(1),
            value.stride(0),
            value.stride(1),
            NUM_KV_HEADS=num_kv_heads,
            HEAD_DIM=head_dim,
            BLOCK_HEADS=1 << (num_kv_heads - 1).bit_length(),
            BLOCK_DIM=padded_dim(head_dim),
        )

    def _attend(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        out: Tensor,
        parts: Tensor,
        weights: Tensor,
        scale: float,
    ) -> None:
        tables = self._tables
        _, page_tokens, num_kv_heads, head_dim = keys.shape
        launch = launch_of(query.dtype, padded_dim(head_dim), tables.size.tile_lines)
        kernels.attend[(len(tables.tiles), num_kv_heads)](
            query,
            keys,
            values,
            out,
            parts,
            weights,
            tables.tiles,
            tables.entries,
            tables.pages,
            query.stride(0),
            query.stride(1),
            scale * LOG2_E,
            GROUP=len(query) // num_kv_heads,
            NUM_KV_HEADS=num_kv_heads,
            PAGE_TOKENS=page_tokens,
            HEAD_DIM=head_dim,
            BLOCK_DIM=padded_dim(head_dim),
            BLOCK_LINES=tables.size.tile_lines,
            BLOCK_KEYS=launch.block_keys,
            num_warps=launch.num_warps,
            num_stages=launch.num_stages,
        )


@dataclass(frozen=True, slots=True)
class TritonBody:
    """Makes the attention of each forward.

    Attributes:
        num_heads: Of the model's queries.
        num_programs: Programs that keep the device busy; None: as many as it has room for.
    """

    num_heads: int
    num_programs: int | None = None

    def __call__(self, pool: PagePool, spans: Sequence[Span]) -> TritonAttention:
        plan = self.plan(pool, spans)
        tables = Tables(plan.size, pool.keys.device)
        tables.load(plan)
        return TritonAttention(pool, tables)

    def plan(self, pool: PagePool, spans: Sequence[Span]) -> AttentionPlan:
        """Lay out a forward for this device."""
        return plan_attention(
            spans,
            num_heads=self.num_heads,
            num_kv_heads=pool.keys.shape[3],
            num_programs=self._programs(pool),
        )

    def decode_size(self, pool: PagePool, num_rows: int, tile_lines: int) -> PlanSize:
        """The size of any plan for so many single new tokens, in tiles of so many lines."""
        num_kv_heads = pool.keys.shape[3]
        return decode_size(
            num_rows,
            tile_lines=tile_lines,
            group=self.num_heads // num_kv_heads,
            num_programs=-(-self._programs(pool) // num_kv_heads),
            num_pages=pool.num_pages,
        )

    def _programs(self, pool: PagePool) -> int:
        return self.num_programs or _num_programs(pool.keys.device)


def padded_dim(head_dim: int) -> int:
    """A power of two, and enough for a matrix product."""
    return max(16, 1 << (head_dim - 1).bit_length())


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@cache
def _num_programs(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    return PROGRAMS_PER_PROCESSOR * torch.cuda.get_device_properties(device).multi_processor_count
