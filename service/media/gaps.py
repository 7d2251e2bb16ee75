"""Holes in a chunk's media, told as stretches of stream time. Pure."""

from collections.abc import Iterable

from service.media.chunk import CHUNK_S, Gap
from service.media.frames import AUDIO_SAMPLE_RATE_HZ
from service.media.sampler import SLOT_S, SLOTS_PER_CHUNK

MIN_GAP_SAMPLES = AUDIO_SAMPLE_RATE_HZ // 100  # 10 ms, one mel frame; clocks jitter by less


def video_gaps(index: int, holes: Iterable[range]) -> list[Gap]:
    """Gaps of the slots (0 to 3) without a picture."""
    first = index * SLOTS_PER_CHUNK
    return [Gap("video", (first + hole.start) * SLOT_S, len(hole) * SLOT_S) for hole in holes]


def audio_gaps(holes: Iterable[range]) -> list[Gap]:
    """Gaps of the positions without samples, counted since stream time zero."""
    return [
        Gap("audio", hole.start / AUDIO_SAMPLE_RATE_HZ, len(hole) / AUDIO_SAMPLE_RATE_HZ)
        for hole in holes
        if len(hole) >= MIN_GAP_SAMPLES
    ]


def reach_back(gaps: list[Gap], modality: str, index: int, after: int) -> list[Gap]:
    """Add the chunks that were skipped: those between `after` and `index` had no media at all."""
    start_s, skipped_s = (after + 1) * CHUNK_S, (index - after - 1) * CHUNK_S
    if skipped_s <= 0:
        return gaps
    if gaps and gaps[0].start_s == index * CHUNK_S:
        return [Gap(modality, start_s, skipped_s + gaps[0].duration_s), *gaps[1:]]
    return [Gap(modality, start_s, skipped_s), *gaps]


__all__ = ["audio_gaps", "reach_back", "video_gaps"]
