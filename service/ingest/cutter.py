"""From a publisher's items to chunks: the work that must not run on the event loop. Synchronous."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from service.ingest.queue import Begin, Gone, Item
from service.ingest.source import Picture, Sound
from service.ingest.thumbnail import encode_thumbnail
from service.media.chunk import Marks, MediaChunk
from service.media.chunker import Chunker, FrameCounts
from service.media.cuts import CutDetector
from service.media.frames import AudioFrame, VideoFrame


class Cutter:
    """Converts what is used and feeds the chunker. Not safe for calls at the same time.

    Args:
        chunker: The session's.
        started_at_s: Unix time of stream time zero.
        has_thumbnails: Whether a chunk gets a small JPEG.
    """

    def __init__(
        self, chunker: Chunker, started_at_s: float, *, has_thumbnails: bool = True
    ) -> None:
        self._chunker = chunker
        self._started_at_s = started_at_s
        self._has_thumbnails = has_thumbnails
        self._cuts = CutDetector()
        self._num_undecodable: FrameCounts = Counter()

    @property
    def is_idle(self) -> bool:
        """No chunk is open: without items there is nothing to do."""
        return self._chunker.num_open == 0

    def cut(self, items: Sequence[Item], now_s: float) -> list[MediaChunk]:
        """Take items in order of arrival; returns the chunks that are complete.

        Args:
            items: All that has arrived since the last call.
            now_s: Unix time up to which they are all.
        """
        chunks = [chunk for item in items for chunk in self._take(item)]
        chunks += self._chunker.poll(now_s - self._started_at_s)
        return [self._marked(chunk) for chunk in chunks]

    def take_counts(self) -> FrameCounts:
        """What became of the frames since the last call."""
        counts = self._chunker.take_counts() + self._num_undecodable
        self._num_undecodable = Counter()
        return counts

    def _marked(self, chunk: MediaChunk) -> MediaChunk:
        cuts_s = self._cuts.see(chunk.index, chunk.grids)
        pictures = [grid[0] for grid in chunk.grids if grid is not None]
        thumbnail = encode_thumbnail(pictures[0]) if self._has_thumbnails and pictures else None
        return replace(chunk, marks=Marks(cuts_s=cuts_s, thumbnail=thumbnail))

    def _take(self, item: Item) -> list[MediaChunk]:
        try:
            match item:
                case Picture(at_s, arrived_s, convert):
                    video = VideoFrame(at_s - self._started_at_s, convert())
                    return self._chunker.add_video(video, arrived_s - self._started_at_s)
                case Sound(at_s, arrived_s, convert):
                    audio = AudioFrame(at_s - self._started_at_s, convert())
                    return self._chunker.add_audio(audio, arrived_s - self._started_at_s)
                case Begin(has_video, has_audio, at_s):
                    now_s = at_s - self._started_at_s
                    self._chunker.declare(video=has_video, audio=has_audio, now_s=now_s)
                    return []
                case Gone():
                    return self._chunker.flush()
        except ValueError:
            modality = "video" if isinstance(item, Picture) else "audio"
            self._num_undecodable[modality, "undecodable"] += 1
            return []


__all__ = ["Cutter"]
