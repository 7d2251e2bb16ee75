"""Frames in, chunks out: two seconds of stream each, by presentation time. Pure and synchronous.

Chunk k is stream time [2 k, 2 k + 2). Of video it takes the first picture of every half second, of
audio all samples. It closes when every live track has passed its end, or some time after; what is
missing then is told as gaps. Knows nothing about sessions or transports.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Literal

import torch
from torch import Tensor

from compressor.omni.mel import NUM_MEL_BINS
from compressor.omni.patches import PixelBudget
from service.media.audio import SAMPLES_PER_CHUNK, AudioTrack
from service.media.chunk import AUDIO_TOKENS_PER_CHUNK, CHUNK_S, Gap, MediaChunk
from service.media.frames import AUDIO_SAMPLE_RATE_HZ, AudioFrame, VideoFrame
from service.media.gaps import audio_gaps, reach_back, video_gaps
from service.media.pictures import Pictures, fit_picture
from service.media.sampler import ROUNDING_S, SLOT_S, SLOTS_PER_CHUNK, slot_of
from service.media.spectrum import LOOK_BEYOND_SAMPLES, MelBlocks

MIN_AUDIO_SAMPLES = SAMPLES_PER_CHUNK // AUDIO_TOKENS_PER_CHUNK  # less makes no audio token

Result = Literal["used", "skipped", "late", "undecodable"]
FrameCounts = Counter[tuple[str, Result]]
"""Frames by (modality, what became of them)."""


@dataclass(frozen=True, slots=True)
class ChunkerConfig:
    """How media becomes chunks.

    Attributes:
        min_pixels: Smaller pictures are enlarged to this many.
        max_pixels: Larger ones are reduced to it.
        max_wait_s: A chunk closes this long after its end, whatever is missing.
        stale_s: A track that brought nothing for this long is not waited for.
        max_open_chunks: More than this close the oldest, so that memory is bounded.
    """

    min_pixels: int = 4 * 28 * 28
    max_pixels: int = 224 * 224
    max_wait_s: float = 1.0
    stale_s: float = 2.0
    max_open_chunks: int = 4


@dataclass(slots=True)
class _Progress:
    """How far one track has come.

    Attributes:
        is_present: The publisher has this track.
        end_s: Stream time up to which it was seen.
        heard_s: When it brought something last.
    """

    is_present: bool = False
    end_s: float = 0.0
    heard_s: float = -inf

    def hear(self, end_s: float, now_s: float) -> None:
        self.is_present = True
        self.end_s = max(self.end_s, end_s)
        self.heard_s = now_s


@dataclass(slots=True)
class _OpenChunk:
    """What a chunk has gathered, besides its samples."""

    pictures: Pictures = field(default_factory=Pictures)
    video_delays_s: list[float] = field(default_factory=list)
    audio_delays_s: list[float] = field(default_factory=list)

    @property
    def skew_s(self) -> float | None:
        if not self.video_delays_s or not self.audio_delays_s:
            return None
        video_s = sum(self.video_delays_s) / len(self.video_delays_s)
        return sum(self.audio_delays_s) / len(self.audio_delays_s) - video_s


class Chunker:
    """Cuts one session's media into chunks.

    All times are seconds on the stream's clock; `now_s` is when a frame arrived. A method returns
    the chunks that it closed, in order. A chunk without any media is skipped: indices jump.

    Args:
        after_index: Chunks up to this one exist already; their media is too late.
    """

    def __init__(self, config: ChunkerConfig | None = None, *, after_index: int = -1) -> None:
        self._config = config or ChunkerConfig()
        self._budget = PixelBudget(self._config.min_pixels, self._config.max_pixels)
        self._after = after_index  # last chunk given out
        self._next = after_index + 1  # first one that may still be
        self._open: dict[int, _OpenChunk] = {}
        self._video, self._audio = _Progress(), _Progress()
        self._samples = AudioTrack()
        self._samples.forget(self._next * SAMPLES_PER_CHUNK)
        self._mel = MelBlocks()
        self._counts: FrameCounts = Counter()

    def declare(self, *, video: bool, audio: bool, now_s: float) -> None:
        """Name the tracks of a new publisher; undeclared ones count from their first frame."""
        for progress, is_present in ((self._video, video), (self._audio, audio)):
            progress.is_present = is_present
            progress.heard_s = now_s

    @property
    def num_open(self) -> int:
        """Chunks that have media and are not complete."""
        return len(self._open)

    @property
    def next_s(self) -> float:
        """Start of the first chunk that may still be."""
        return self._next * CHUNK_S

    def take_counts(self) -> FrameCounts:
        """What became of the frames since the last call."""
        counts, self._counts = self._counts, Counter()
        return counts

    def add_video(self, frame: VideoFrame, now_s: float) -> list[MediaChunk]:
        """Take a picture; it is used if it is the earliest of its half second."""
        self._counts["video", self._place(frame, now_s)] += 1
        return self._close(now_s)

    def add_audio(self, frame: AudioFrame, now_s: float) -> list[MediaChunk]:
        """Take samples; those of a chunk already given out are left out."""
        if len(frame.samples) > 0:
            taken = self._samples.write(frame.pts_s, frame.samples)
            self._audio.hear(self._samples.end / AUDIO_SAMPLE_RATE_HZ, now_s)
            for index in _chunks_of(taken):
                delays_s = self._open.setdefault(index, _OpenChunk()).audio_delays_s
                delays_s.append(now_s - frame.pts_s)
            self._counts["audio", "used" if taken else "late"] += 1
        return self._close(now_s)

    def poll(self, now_s: float) -> list[MediaChunk]:
        """Close what is due by time alone. Call it now and then, after what has arrived."""
        return self._close(now_s)

    def flush(self) -> list[MediaChunk]:
        """Close all: the publisher is gone. Audio of the last chunk ends where it ends.

        A publisher that comes back goes on with the next chunk.
        """
        indices = sorted(self._open)
        chunks = [self._take(index, is_last=index == indices[-1]) for index in indices]
        self._video.heard_s = self._audio.heard_s = -inf
        return [chunk for chunk in chunks if chunk is not None]

    def _place(self, frame: VideoFrame, now_s: float) -> Result:
        slot = slot_of(frame.pts_s)
        index, within = divmod(slot, SLOTS_PER_CHUNK)
        self._video.hear(slot * SLOT_S, now_s)
        if index < self._next:
            return "late"
        chunk = self._open.get(index, _OpenChunk())
        if not chunk.pictures.wants(within, frame.pts_s):
            return "skipped"
        try:
            chunk.pictures.put(within, frame.pts_s, fit_picture(frame.pixels, self._budget))
        except ValueError:
            return "undecodable"
        chunk.video_delays_s.append(now_s - frame.pts_s)
        self._open[index] = chunk
        return "used"

    def _close(self, now_s: float) -> list[MediaChunk]:
        chunks = []
        while self._open:
            index = min(self._open)
            is_over = len(self._open) > self._config.max_open_chunks
            if not is_over and not self._is_complete(index, now_s):
                break
            chunks.append(self._take(index))
        return [chunk for chunk in chunks if chunk is not None]

    def _is_complete(self, index: int, now_s: float) -> bool:
        end_s = (index + 1) * CHUNK_S
        if now_s >= end_s + self._config.max_wait_s:
            return True
        sound_s = end_s + LOOK_BEYOND_SAMPLES / AUDIO_SAMPLE_RATE_HZ
        return self._is_past(self._video, end_s, now_s) and self._is_past(
            self._audio, sound_s, now_s
        )

    def _is_past(self, progress: _Progress, end_s: float, now_s: float) -> bool:
        is_stale = now_s >= end_s and now_s - progress.heard_s > self._config.stale_s
        return not progress.is_present or is_stale or progress.end_s >= end_s - ROUNDING_S

    def _take(self, index: int, *, is_last: bool = False) -> MediaChunk | None:
        """Close chunk `index`; None when there is too little of it to be one."""
        chunk = self._open.pop(index)
        holes = self._holes(index)
        mel = self._listen(index, holes, is_last=is_last)
        self._next = index + 1
        self._samples.forget(self._next * SAMPLES_PER_CHUNK)
        if mel.shape[1] == 0 and len(chunk.pictures) == 0:
            return None
        gaps = self._gaps(index, chunk.pictures.holes(), holes)
        grids = chunk.pictures.grids() if self._video.is_present else ()
        self._after = index
        return MediaChunk(index, grids, mel, gaps, chunk.skew_s)

    def _holes(self, index: int) -> list[range]:
        holes = self._samples.holes(index)
        if SAMPLES_PER_CHUNK - sum(map(len, holes)) < MIN_AUDIO_SAMPLES:
            return [range(index * SAMPLES_PER_CHUNK, (index + 1) * SAMPLES_PER_CHUNK)]
        return holes

    def _listen(self, index: int, holes: list[range], *, is_last: bool) -> Tensor:
        stop = (index + 1) * SAMPLES_PER_CHUNK
        if holes and len(holes[0]) == SAMPLES_PER_CHUNK:
            return torch.empty(NUM_MEL_BINS, 0)
        if not is_last:
            return self._mel.block(index, self._samples)
        is_cut = bool(holes) and holes[-1].stop == stop
        return self._mel.tail(index, self._samples, holes[-1].start if is_cut else stop)

    def _gaps(self, index: int, slots: list[range], samples: list[range]) -> tuple[Gap, ...]:
        gaps: list[Gap] = []
        if self._video.is_present:
            gaps += reach_back(video_gaps(index, slots), "video", index, self._after)
        if self._audio.is_present:
            gaps += reach_back(audio_gaps(samples), "audio", index, self._after)
        return tuple(sorted(gaps, key=lambda gap: gap.start_s))


def _chunks_of(positions: range) -> range:
    if not positions:
        return range(0)
    return range(positions.start // SAMPLES_PER_CHUNK, -(-positions.stop // SAMPLES_PER_CHUNK))


__all__ = ["Chunker", "ChunkerConfig", "FrameCounts", "Result"]
