"""Frames on their way into a chunker, and what chunks are compared with."""

from collections.abc import Iterable

import torch

from compressor.omni.mel import StreamingMel
from service.media.chunk import MediaChunk
from service.media.chunker import Chunker, ChunkerConfig
from service.media.frames import AudioFrame, VideoFrame

CONFIG = ChunkerConfig(min_pixels=28 * 28, max_pixels=4 * 28 * 28, max_wait_s=0.5, stale_s=2.0)
DELAY_S = 0.05  # of every frame, from its time to its arrival


def feed(
    chunker: Chunker, frames: Iterable[VideoFrame | AudioFrame], delay_s: float = DELAY_S
) -> list[MediaChunk]:
    """Give frames to the chunker in the order of their times."""
    chunks = []
    for frame in sorted(frames, key=lambda frame: frame.pts_s):
        add = chunker.add_video if isinstance(frame, VideoFrame) else chunker.add_audio
        chunks += add(frame, frame.pts_s + delay_s)  # type: ignore[operator]  # by the line above
    return chunks


def greys(chunk: MediaChunk) -> list[tuple[int, ...] | None]:
    """The grey of each picture, by grid."""
    return [
        None if grid is None else tuple(int(value) for value in grid[:, 0, 0, 0])
        for grid in chunk.grids
    ]


def offline(samples: torch.Tensor) -> torch.Tensor:
    mel = StreamingMel()
    return torch.cat([mel.push(samples), mel.flush()], dim=1)
