"""Chunks that wait for the stages, and what is given up when they are too many. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from service.media.chunk import CHUNK_S, Gap, MediaChunk


@dataclass(frozen=True, slots=True)
class Loss:
    """What was given up of chunk `index`: only its "video", or the whole "chunk"."""

    index: int
    part: Literal["video", "chunk"]


class Backlog:
    """A session's waiting chunks, oldest first.

    At most `max_chunks` wait with their video; of the older ones, as many again, only the audio is
    kept, since it costs little and says most. The oldest goes first.
    """

    def __init__(self, max_chunks: int) -> None:
        if max_chunks < 1:
            raise ValueError(f"max_chunks must be at least 1, not {max_chunks}")
        self._max_chunks = max_chunks
        self._chunks: deque[MediaChunk] = deque()

    def __len__(self) -> int:
        return len(self._chunks)

    def push(self, chunk: MediaChunk) -> Sequence[Loss]:
        """Append a chunk; returns what had to be given up for it."""
        self._chunks.append(chunk)
        losses = []
        with_video = [index for index, held in enumerate(self._chunks) if _has_video(held)]
        if len(with_video) > self._max_chunks:
            losses.append(self._strip(with_video[0]))
        if len(self._chunks) > 2 * self._max_chunks:
            losses.append(Loss(self._chunks.popleft().index, "chunk"))
        return losses

    def pop(self) -> MediaChunk | None:
        """The oldest chunk; None when none waits."""
        return self._chunks.popleft() if self._chunks else None

    def _strip(self, position: int) -> Loss:
        chunk = self._chunks[position]
        if chunk.mel.shape[1] == 0:
            del self._chunks[position]
            return Loss(chunk.index, "chunk")
        self._chunks[position] = without_video(chunk)
        return Loss(chunk.index, "video")


def without_video(chunk: MediaChunk) -> MediaChunk:
    """The chunk with its sound alone; its video is told as a gap."""
    lost = Gap("video", chunk.start_s, CHUNK_S)
    others = [gap for gap in chunk.gaps if gap.modality != "video"]
    gaps = tuple(sorted([lost, *others], key=lambda gap: gap.start_s))
    return replace(chunk, grids=(None,) * len(chunk.grids), gaps=gaps)


def _has_video(chunk: MediaChunk) -> bool:
    return any(grid is not None for grid in chunk.grids)


__all__ = ["Backlog", "Loss", "without_video"]
