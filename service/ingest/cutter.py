"""From a publisher's items to chunks: the work that must not run on the event loop. Synchronous."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from service.ingest.queue import Begin, Gone, Item
from service.ingest.source import Picture, Sound
from service.ingest.thumbnail import encode_thumbnail
from service.media.chunk import CHUNK_S, Marks, MediaChunk
from service.media.chunker import Chunker, FrameCounts
from service.media.cuts import CutDetector
from service.media.frames import AudioFrame, VideoFrame
from service.media.sampler import SLOT_S

INTERLEAVE_S = 3.0  # one track of a media file may lie so far behind the other in its file


class Cutter:
    """Converts what is used and feeds the chunker. Not safe for calls at the same time.

    Args:
        chunker: The session's.
        started_at_s: Unix time of stream time zero.
        has_thumbnails: Whether a chunk gets a small JPEG.
        lead_s: How far stream time is ahead of the clock.
        is_recorded: The publisher, who began before, is a media file.
    """

    def __init__(
        self,
        chunker: Chunker,
        started_at_s: float,
        *,
        has_thumbnails: bool = True,
        lead_s: float = 0.0,
        is_recorded: bool = False,
    ) -> None:
        self._chunker = chunker
        self._started_at_s = started_at_s
        self._has_thumbnails = has_thumbnails
        self._is_recorded = is_recorded
        self._lead_s = lead_s
        self._recorded_index: int | None = None
        self._cuts = CutDetector()
        self._num_undecodable: FrameCounts = Counter()

    @property
    def is_idle(self) -> bool:
        """No chunk is open: without items there is nothing to do."""
        return self._chunker.num_open == 0

    @property
    def is_recorded(self) -> bool:
        """The publisher is a media file: it can wait, and nothing of it may be given up."""
        return self._is_recorded

    @property
    def recorded_index(self) -> int | None:
        """The chunk at which the present media file began; None for a live publisher."""
        return self._recorded_index

    @property
    def lead_s(self) -> float:
        """How far stream time is ahead of the clock: a media file may be played fast."""
        return self._lead_s

    def cut(self, items: Sequence[Item], now_s: float) -> list[MediaChunk]:
        """Take items in order of arrival; returns the chunks that are complete.

        Args:
            items: All that has arrived since the last call.
            now_s: Unix time up to which they are all.
        """
        chunks = [chunk for item in items for chunk in self._take(item)]
        if not self._is_recorded:
            chunks += self._chunker.poll(self._stream_s(now_s))
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
        marks = Marks(cuts_s=cuts_s, thumbnail=thumbnail)
        return replace(chunk, marks=marks, lead_s=self._lead_s)

    def _take(self, item: Item) -> list[MediaChunk]:
        try:
            match item:
                case Picture(at_s, arrived_s, convert):
                    video = VideoFrame(self._stream_s(at_s), convert())
                    return self._chunker.add_video(video, self._heard_s(at_s, arrived_s))
                case Sound(at_s, arrived_s, convert):
                    audio = AudioFrame(self._stream_s(at_s), convert())
                    return self._chunker.add_audio(audio, self._heard_s(at_s, arrived_s))
                case Begin():
                    return self._begin(item)
                case Gone():
                    return self._chunker.flush()
        except ValueError:
            modality = "video" if isinstance(item, Picture) else "audio"
            self._num_undecodable[modality, "undecodable"] += 1
            return []

    def _begin(self, begin: Begin) -> list[MediaChunk]:
        """Find where in stream time the publisher begins.

        A media file begins at the edge of a chunk, one of several with the chunk behind the last.
        What was played faster than real time has put the stream ahead of the clock: who comes next
        goes on from there.
        """
        chunks = self._chunker.flush() if begin.is_recorded else []
        kept_s = 0.0 if self._is_recorded else self._lead_s  # who comes back has been away
        self._is_recorded = begin.is_recorded
        now_s = begin.at_s - self._started_at_s
        free_s = self._chunker.next_s
        if begin.is_recorded:
            start_s = free_s if begin.is_next else max(free_s, CHUNK_S * ceil(now_s / CHUNK_S))
            self._lead_s = start_s - now_s
            self._recorded_index = round(start_s / CHUNK_S)
        else:
            self._recorded_index = None
            ahead_s = SLOT_S * ceil((free_s - now_s) / SLOT_S)
            self._lead_s = ahead_s if ahead_s > kept_s + CHUNK_S else kept_s
        self._chunker.declare(
            video=begin.has_video, audio=begin.has_audio, now_s=self._stream_s(begin.at_s)
        )
        return chunks

    def _stream_s(self, at_s: float) -> float:
        return at_s - self._started_at_s + self._lead_s

    def _heard_s(self, at_s: float, arrived_s: float) -> float:
        """When an item counts as arrived; a media file's own time goes on as it is read."""
        return self._stream_s(at_s - INTERLEAVE_S if self._is_recorded else arrived_s)


__all__ = ["Cutter"]
