"""Attention over KV pages as three Triton kernels: write, attend, merge. Knows no sequences.

What they work on is laid out by `service.llm.attention_plan`. The method is FlashAttention-2's
(arXiv:2307.08691): one pass over the keys with a running maximum and sum, never a row of scores in
memory; over pages as in PagedAttention (arXiv:2309.06180); where long contexts meet few queries,
several programs share the keys of a query and their results are merged, as in Flash-Decoding
(https://crfm.stanford.edu/2023/10/12/flashdecoding.html). The query heads that share a key head are
lines of one tile, so that each key is read once for all of them.
"""

import triton
import triton.language as tl


@triton.jit
def write(
    key,
    value,
    keys,
    values,
    slots,
    key_head_stride,
    key_row_stride,
    value_head_stride,
    value_row_stride,
    NUM_KV_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    """Copy one new token's key and value to its slot, if it has one. Grid: rows."""
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    head = tl.arange(0, BLOCK_HEADS)[:, None]
    dim = tl.arange(0, BLOCK_DIM)[None, :]
    is_there = (head < NUM_KV_HEADS) & (dim < HEAD_DIM) & (slot >= 0)
    target = (slot * NUM_KV_HEADS + head) * HEAD_DIM + dim
    new_key = tl.load(key + row * key_row_stride + head * key_head_stride + dim, mask=is_there)
    tl.store(keys + target, new_key, mask=is_there)
    source = row * value_row_stride + head * value_head_stride + dim
    tl.store(values + target, tl.load(value + source, mask=is_there), mask=is_there)


@triton.jit
def attend(
    query,
    keys,
    values,
    out,
    parts,
    part_weights,
    tiles,
    entries,
    pages,
    query_head_stride,
    query_row_stride,
    scale,
    GROUP: tl.constexpr,
    NUM_KV_HEADS: tl.constexpr,
    PAGE_TOKENS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_KEYS: tl.constexpr,
):
    """One tile against its keys, for one key head. Grid: tiles, key heads.

    `scale` includes log2(e). A result goes to `out` where its entry names no part, else to `parts`
    with its weight, the log2 of its sum.
    """
    tile, kv_head = tiles + tl.program_id(0) * 5, tl.program_id(1)
    first, count, table = tl.load(tile), tl.load(tile + 1), tl.load(tile + 2)
    begin, stop = tl.load(tile + 3), tl.load(tile + 4)
    line, dim = tl.arange(0, BLOCK_LINES), tl.arange(0, BLOCK_DIM)[None, :]
    head = kv_head * GROUP + line % GROUP
    is_used = line // GROUP < count
    entry = entries + (first + line // GROUP) * 3
    row = tl.load(entry, mask=is_used, other=0).to(tl.int64)
    seen = tl.load(entry + 1, mask=is_used, other=0)
    place = (row * query_row_stride + head * query_head_stride)[:, None] + dim
    lines = tl.load(query + place, mask=is_used[:, None] & (dim < HEAD_DIM), other=0.0)

    top = tl.full([BLOCK_LINES], -float("inf"), tl.float32)
    total = tl.full([BLOCK_LINES], 0.0, tl.float32)
    mixed = tl.full([BLOCK_LINES, BLOCK_DIM], 0.0, tl.float32)
    for start in range(begin, stop, BLOCK_KEYS):
        number = start + tl.arange(0, BLOCK_KEYS)
        is_key = number < stop
        page = tl.load(pages + table + number // PAGE_TOKENS, mask=is_key, other=0).to(tl.int64)
        slot = page * PAGE_TOKENS + number % PAGE_TOKENS
        source = ((slot * NUM_KV_HEADS + kv_head) * HEAD_DIM)[:, None] + dim
        is_there = is_key[:, None] & (dim < HEAD_DIM)
        key = tl.load(keys + source, mask=is_there, other=0.0)
        value = tl.load(values + source, mask=is_there, other=0.0)
        is_seen = is_key[None, :] & (number[None, :] < seen[:, None])
        top, total, mixed = _mix(lines, key, value, is_seen, scale, top, total, mixed)
    num_heads = GROUP * NUM_KV_HEADS
    _put(
        out, parts, part_weights, entry, head, dim, is_used, top, total, mixed, num_heads, HEAD_DIM
    )


@triton.jit
def _mix(lines, key, value, is_seen, scale, top, total, mixed):
    """Let more keys into a running softmax: its greatest score, its sum and its weighted values."""
    scores = tl.dot(lines, tl.trans(key), input_precision="ieee") * scale
    scores = tl.where(is_seen, scores, -float("inf"))
    new_top = tl.maximum(top, tl.max(scores, 1))
    # a line that has seen no key yet: 0 in place of -inf, whose difference would be NaN
    base = tl.where(new_top == -float("inf"), 0.0, new_top)
    weights = tl.exp2(scores - base[:, None])
    fading = tl.exp2(top - base)
    total = total * fading + tl.sum(weights, 1)
    mixed = mixed * fading[:, None]
    mixed += tl.dot(weights.to(value.dtype), value, input_precision="ieee")
    return new_top, total, mixed


@triton.jit
def _put(
    out,
    parts,
    part_weights,
    entry,
    head,
    dim,
    is_used,
    top,
    total,
    mixed,
    NUM_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
):
    """Store each line's result where its entry says."""
    row = tl.load(entry, mask=is_used, other=0).to(tl.int64)
    part = tl.load(entry + 2, mask=is_used, other=-1).to(tl.int64)
    total = tl.where(total == 0.0, 1.0, total)
    mixed = mixed / total[:, None]
    place = ((row * NUM_HEADS + head) * HEAD_DIM)[:, None] + dim
    is_whole = (is_used & (part < 0))[:, None] & (dim < HEAD_DIM)
    tl.store(out + place, mixed.to(out.dtype.element_ty), mask=is_whole)
    is_part = is_used & (part >= 0)
    place = part * NUM_HEADS + head
    tl.store(part_weights + place, top + tl.log2(total), mask=is_part)
    place = (place * HEAD_DIM)[:, None] + dim
    tl.store(parts + place, mixed, mask=is_part[:, None] & (dim < HEAD_DIM))


@triton.jit
def merge(
    parts,
    part_weights,
    out,
    merges,
    NUM_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    """Weigh the parts of one query together. Grid: merges, query heads."""
    entry = merges + tl.program_id(0) * 3
    row, first = tl.load(entry).to(tl.int64), tl.load(entry + 1).to(tl.int64)
    count = tl.load(entry + 2)
    head = tl.program_id(1)
    dim = tl.arange(0, BLOCK_DIM)
    is_dim = dim < tl.where(count > 0, HEAD_DIM, 0)
    top = -float("inf")
    total = 0.0
    mixed = tl.full([BLOCK_DIM], 0.0, tl.float32)
    for number in range(count):
        place = (first + number) * NUM_HEADS + head
        weight = tl.load(part_weights + place)
        new_top = tl.maximum(top, weight)  # finite from the first part on: that one sees keys
        fading, share = tl.exp2(top - new_top), tl.exp2(weight - new_top)
        part = tl.load(parts + place * HEAD_DIM + dim, mask=is_dim, other=0.0)
        mixed = mixed * fading + part * share
        total = total * fading + share
        top = new_top
    target = out + (row * NUM_HEADS + head) * HEAD_DIM + dim
    total = tl.where(count > 0, total, 1.0)
    tl.store(target, (mixed / total).to(out.dtype.element_ty), mask=is_dim)
