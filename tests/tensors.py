"""Small token chunks with known structure, the same for the same seed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from compressor.tokens import TokenChunk

HIDDEN_SIZE = 24


def make_token_chunk(
    seed: int = 0,
    *,
    grid_sizes: Sequence[int] = (12, 12),
    num_audio: int = 10,
    hidden_size: int = HIDDEN_SIZE,
    dtype: torch.dtype = torch.float32,
    start_s: float = 0.0,
) -> TokenChunk:
    """Random embeddings; grids share a scene, so that neighbours are alike in part of their tokens.

    Positions are those of one chunk that starts at `start_s`: 25 ids per second of time, grids of
    one row.
    """
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randn(max(grid_sizes, default=0), hidden_size, generator=generator)
    grids = []
    for size in grid_sizes:
        change = torch.rand(size, 1, generator=generator).square()
        noise = torch.randn(size, hidden_size, generator=generator)
        grids.append((scene[:size] + change * noise).to(dtype))
    audio = torch.randn(num_audio, hidden_size, generator=generator).to(dtype)
    is_equal = grids and len(set(grid_sizes)) == 1
    return TokenChunk(
        video=torch.stack(grids) if is_equal else tuple(grids),
        audio=audio,
        positions=make_positions(grid_sizes, num_audio, start_s),
        start_s=start_s,
    )


def make_positions(grid_sizes: Sequence[int], num_audio: int, start_s: float) -> Tensor:
    """TMRoPE-like ids `[3, N]` that grow with time."""
    start = round(start_s * 25)
    columns = [
        torch.stack(
            [
                torch.full((size,), start + 25 * number),
                torch.full((size,), start),
                start + torch.arange(size),
            ]
        )
        for number, size in enumerate(grid_sizes)
    ]
    audio = (start + torch.arange(num_audio)).expand(3, -1)
    return torch.cat([*columns, audio], dim=1)
