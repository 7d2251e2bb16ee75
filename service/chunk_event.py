"""What the watchers of a session are told about a chunk in context. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import accumulate, pairwise
from typing import Any

from service.events import EventType
from service.media.chunk import MediaChunk
from service.sessions.record import ChunkRecord

DIGITS = 4  # of times in seconds


def chunk_data(
    chunk: MediaChunk, record: ChunkRecord, *, lag_s: float, stages_s: Mapping[str, float]
) -> dict[str, Any]:
    """The JSON-ready fields of a `chunk` event; documented in docs/api.md.

    Args:
        chunk: The media.
        record: What is left of it.
        lag_s: Glass to context.
        stages_s: Duration of each stage.
    """
    counts_in, counts_kept = record.compressed.counts_in, record.compressed.counts_kept
    return {
        "index": record.index,
        "start_s": chunk.start_s,
        "end_s": chunk.end_s,
        "tokens": {
            "video": {"in": counts_in.video, "kept": counts_kept.video},
            "audio": {"in": counts_in.audio, "kept": counts_kept.audio},
        },
        "kept": _kept(record),
        "grid_sizes": [list(size) for size in record.grid_sizes],
        "lag_s": round(lag_s, DIGITS),
        "stages_s": {stage: round(duration_s, DIGITS) for stage, duration_s in stages_s.items()},
        "skew_s": None if chunk.skew_s is None else round(chunk.skew_s, DIGITS),
        "gaps": [asdict(gap) for gap in record.gaps],
        "is_cut": bool(record.marks.cuts_s),
        "has_thumbnail": record.marks.thumbnail is not None,
    }


def marks_data(record: ChunkRecord) -> list[tuple[EventType, dict[str, Any]]]:
    """What else to tell of a chunk in context: type and fields, in order of time."""
    moments: list[tuple[float, EventType]] = [(s, "scene.cut") for s in record.marks.cuts_s]
    moments += [(s, "sound.onset") for s in record.marks.onsets_s]
    return [
        (kind, {"index": record.index, "start_s": round(start_s, DIGITS)})
        for start_s, kind in sorted(moments)
    ]


def _kept(record: ChunkRecord) -> dict[str, Any]:
    """Kept indices of each grid and of the audio, each counted from its own first token."""
    kept: list[int] = record.compressed.kept.tolist()
    edges = [0, *accumulate(rows * columns for rows, columns in record.grid_sizes)]
    video = [[i - begin for i in kept if begin <= i < end] for begin, end in pairwise(edges)]
    return {"video": video, "audio": [i - edges[-1] for i in kept if i >= edges[-1]]}


__all__ = ["chunk_data", "marks_data"]
