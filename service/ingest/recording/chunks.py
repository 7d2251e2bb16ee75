"""A recording's chunks, cut again as they were. Synchronous; knows nothing about stages."""

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence

from service.errors import ServiceError
from service.ingest.cutter import Cutter
from service.ingest.recording.journal import Told
from service.ingest.recording.reader import Recording
from service.media.backlog import without_video
from service.media.chunk import MediaChunk
from service.media.chunker import Chunker

logger = logging.getLogger(__name__)

WHOLE_LOSSES = frozenset({"backlog", "encode", "compress"})


def cut_again(
    recording: Recording, *, has_thumbnails: bool = False
) -> Generator[MediaChunk, None, None]:
    """The chunks that reached the log then, without what the service gave up of them.

    Args:
        recording: The file.
        has_thumbnails: Whether a chunk gets a small JPEG.

    Raises:
        Unprocessable: The file is damaged.
    """
    losses = _losses(recording.told)
    for chunk in _cut(recording, has_thumbnails=has_thumbnails):
        reasons = losses.get(chunk.index, frozenset())
        if not reasons & WHOLE_LOSSES:
            yield without_video(chunk) if "backlog_video" in reasons else chunk


def _cut(recording: Recording, *, has_thumbnails: bool) -> Iterator[MediaChunk]:
    header = recording.header
    chunker = Chunker(header.chunker, after_index=header.after_index)
    cutter = Cutter(
        chunker,
        header.started_at_s,
        has_thumbnails=has_thumbnails,
        lead_s=header.lead_s,
        is_recorded=header.is_recorded,
    )
    for items, now_s in recording.looks():
        try:
            yield from cutter.cut(items, now_s)
        except ServiceError:
            raise
        except Exception:
            # a bug, which the service takes in the same way: see `Intake`
            logger.exception("media lost")


def _losses(told: Sequence[Told]) -> Mapping[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    for line in told:
        if line.event == "dropped":
            index = int(line.data["index"])
            found[index] = found.get(index, frozenset()) | {str(line.data["reason"])}
    return found


__all__ = ["cut_again"]
