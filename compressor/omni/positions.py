"""TMRoPE position ids of a live stream and of the text around it. Knows nothing about weights.

Ids of media count from stream time zero, so that they can be computed chunk by chunk without
knowing what precedes the stream; whoever holds the whole sequence adds `stream_base`.

    text     | vision_bos, audio_bos | chunks            | audio_eos, vision_eos | text
    0 to n-1 | n for both            | n + 1 + their ids | m for both            | from m + 1

Source: time-aligned multimodal RoPE, arXiv 2503.20215, section 2.2; the numbering is that of
`get_rope_index` of transformers with audio in video. One difference: where the last chunk's audio
ends before its last grid, transformers numbers the text after the audio, from ids that the grid
has used; here text always follows the highest id of the stream.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

IDS_PER_S = 25  # `position_id_per_seconds` of every published Qwen2.5-Omni; pass the config's own
GRID_S = 1.0  # two frames at 2 fps
NUM_MARKERS = 2  # <|vision_bos|><|audio_bos|> before the stream, the two ends after it


def video_positions(
    start_s: float, rows: int, columns: int, *, ids_per_s: int = IDS_PER_S
) -> Tensor:
    """Number the merged tokens of one temporal grid.

    Args:
        start_s: Stream time of the grid's first frame, seconds.
        rows: Merged tokens per column of the grid.
        columns: Merged tokens per row of it.
        ids_per_s: Ids per second of stream.

    Returns:
        `[3, rows * columns]` int64 in raster order: time (the same for all), row, column. Row and
        column do not grow with time.
    """
    time = torch.full((rows * columns,), int(start_s * ids_per_s))
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    return torch.stack([time, row, column])


def audio_positions(start_s: float, num_tokens: int, *, ids_per_s: int = IDS_PER_S) -> Tensor:
    """Number consecutive audio tokens, one id each, the same on all three axes.

    Args:
        start_s: Stream time of the first token, seconds.
        num_tokens: How many, 0 or more.
        ids_per_s: Ids per second of stream; also the audio tokens per second.

    Returns:
        `[3, num_tokens]` int64.
    """
    return text_positions(int(start_s * ids_per_s), num_tokens)


def chunk_positions(
    start_s: float,
    grid_sizes: Sequence[tuple[int, int] | None],
    num_audio_tokens: int,
    *,
    ids_per_s: int = IDS_PER_S,
) -> Tensor:
    """Number one chunk: its grids in order, then its audio.

    Args:
        start_s: Stream time of the chunk's start, seconds.
        grid_sizes: (rows, columns) of each second of the chunk; None where it has no picture.
        num_audio_tokens: Audio tokens from the chunk's start on.
        ids_per_s: Ids per second of stream.

    Returns:
        `[3, N]` int64, relative to stream time zero.
    """
    parts = [
        video_positions(start_s + second * GRID_S, *size, ids_per_s=ids_per_s)
        for second, size in enumerate(grid_sizes)
        if size is not None
    ]
    parts.append(audio_positions(start_s, num_audio_tokens, ids_per_s=ids_per_s))
    return torch.cat(parts, dim=1)


def text_positions(start: int, num_tokens: int) -> Tensor:
    """Number text from id `start` on: `[3, num_tokens]` int64, the same on all three axes."""
    return torch.arange(start, start + num_tokens).expand(3, -1)


def header_positions(num_tokens: int) -> Tensor:
    """Number what precedes the stream; its last two tokens, the opening markers, share one id.

    Args:
        num_tokens: Length of the header, 2 or more.

    Returns:
        `[3, num_tokens]` int64.
    """
    return text_positions(0, num_tokens).clamp(max=stream_base(num_tokens) - 1)


def stream_base(num_header_tokens: int) -> int:
    """Return the id of stream time zero: what is added to all ids of media."""
    return num_header_tokens - NUM_MARKERS + 1


def tail_positions(start: int, num_tokens: int) -> Tensor:
    """Number what follows the stream; its first two tokens, the closing markers, share one id.

    Args:
        start: 1 + the highest id so far, the base included.
        num_tokens: Closing markers and text together, 2 or more.

    Returns:
        `[3, num_tokens]` int64.
    """
    return text_positions(start - 1, num_tokens).clamp(min=start)


__all__ = [
    "GRID_S",
    "IDS_PER_S",
    "NUM_MARKERS",
    "audio_positions",
    "chunk_positions",
    "header_positions",
    "stream_base",
    "tail_positions",
    "text_positions",
    "video_positions",
]
