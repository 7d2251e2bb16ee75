"""Samples laid on the stream's clock, with their holes. Pure; knows nothing about spectra."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.media.chunk import CHUNK_S
from service.media.frames import AUDIO_SAMPLE_RATE_HZ

SAMPLES_PER_CHUNK = int(CHUNK_S * AUDIO_SAMPLE_RATE_HZ)
SNAP_SAMPLES = AUDIO_SAMPLE_RATE_HZ // 100  # times jitter by less than this; a lost packet is more


@dataclass(slots=True)
class _Block:
    """One chunk's samples; `is_known` tells them from the zeros of a hole."""

    samples: NDArray[np.float32]
    is_known: NDArray[np.bool_]


class AudioTrack:
    """The samples of the chunks that are still open, in blocks of one chunk.

    Positions count samples since stream time zero. What is written first stays; samples before the
    floor came too late and are left out.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._floor = 0
        self._next: int | None = None

    @property
    def end(self) -> int:
        """Position after the last sample written, 0 before the first."""
        return self._next or 0

    def write(self, pts_s: float, samples: Tensor) -> range:
        """Lay a run of samples at `pts_s`, or right after the last run where that is almost so.

        Args:
            pts_s: Stream time of the first sample.
            samples: Mono 16 kHz float32 `[S]`.

        Returns:
            Positions that lie at or after the floor; empty when all came too late.
        """
        start = round(pts_s * AUDIO_SAMPLE_RATE_HZ)
        if self._next is not None and abs(start - self._next) <= SNAP_SAMPLES:
            start = self._next
        stop = start + len(samples)
        taken = range(min(max(start, self._floor), stop), stop)
        values = samples.numpy()
        position = taken.start
        while position < taken.stop:
            position += self._fill(position, values[position - start :])
        self._next = max(self.end, stop)
        return taken

    def read(self, start: int, stop: int) -> Tensor:
        """Samples `[stop - start]` from a position on, zero where there are none."""
        values = np.zeros(stop - start, dtype=np.float32)
        position = start
        while position < stop:
            index, begin = divmod(position, SAMPLES_PER_CHUNK)
            count = min(stop - position, SAMPLES_PER_CHUNK - begin)
            if index in self._blocks:
                part = self._blocks[index].samples[begin : begin + count]
                values[position - start : position - start + count] = part
            position += count
        return torch.from_numpy(values)

    def holes(self, index: int) -> list[range]:
        """Positions of chunk `index` that hold no samples, as runs; all of it when it has none."""
        start = index * SAMPLES_PER_CHUNK
        block = self._blocks.get(index)
        if block is None:
            return [range(start, start + SAMPLES_PER_CHUNK)]
        known = np.concatenate([[True], block.is_known, [True]])
        edges = (np.flatnonzero(known[1:] != known[:-1]) + start).tolist()
        return [range(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def forget(self, before: int) -> None:
        """Raise the floor to `before`; blocks that end at or under it are freed."""
        self._floor = max(self._floor, before)
        kept = self._floor // SAMPLES_PER_CHUNK
        self._blocks = {index: block for index, block in self._blocks.items() if index >= kept}

    def _fill(self, position: int, values: NDArray[np.float32]) -> int:
        index, begin = divmod(position, SAMPLES_PER_CHUNK)
        if index not in self._blocks:
            self._blocks[index] = _Block(
                np.zeros(SAMPLES_PER_CHUNK, dtype=np.float32),
                np.zeros(SAMPLES_PER_CHUNK, dtype=bool),
            )
        block = self._blocks[index]
        count = min(len(values), SAMPLES_PER_CHUNK - begin)
        part = slice(begin, begin + count)
        np.copyto(block.samples[part], values[:count], where=~block.is_known[part])
        block.is_known[part] = True
        return count


__all__ = ["SAMPLES_PER_CHUNK", "SNAP_SAMPLES", "AudioTrack"]
