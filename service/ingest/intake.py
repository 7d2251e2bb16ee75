"""A session's media, from its publisher to its pipeline. Knows nothing about status or leases.

Sources push on the event loop, and whatever takes time (colour, size, spectrum) happens on another
thread: arrived media is looked at every `tick_s`, all of it in one visit to that thread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Literal

from service.errors import SessionEnded
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.cutter import Cutter
from service.ingest.playback import RoomySink
from service.ingest.queue import Begin, Gone, MediaQueue
from service.ingest.recording.recorder import Recorder
from service.ingest.recording.taping import Taping
from service.ingest.source import Picture, Sound
from service.media.chunk import CHUNK_S
from service.media.chunker import Chunker
from service.media.sampler import FrameSampler
from service.pipeline import SessionPipeline
from service.retry import insist
from service.sessions.record import SessionId

logger = logging.getLogger(__name__)

SIGN_S = 1.0  # a source that waits for room is alive, and says so


class Intake(RoomySink):
    """Takes media of one publisher after another; stream time goes on between them.

    Args:
        session_id: Whose media it is.
        around: What sessions share.
        config: Limits.
        on_media: Told of every arrival, with its Unix time.
        on_placed: Told at which chunk a media file begins, before that one goes anywhere.
    """

    def __init__(
        self,
        session_id: SessionId,
        around: Surroundings,
        config: IngestConfig,
        on_media: Callable[[float], None],
        on_placed: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._session_id = session_id
        self._around = around
        self._config = config
        self._on_media = on_media
        self._on_placed = on_placed
        self._placed_index: int | None = None
        self._oversized: Literal["none", "seen", "told"] = "none"
        self._is_cutting = False
        self._queue = MediaQueue(config.queue)
        self._sampler = FrameSampler()
        self._recorded_s: float | None = None  # when a media file began; None for live publishers
        self._started_at_s: float | None = None
        self._pipeline: SessionPipeline | None = None
        self._taping: Taping | None = None
        self._recorder: Recorder | None = None
        self._is_finishing = False
        self._has_news = asyncio.Event()  # there is media, or no more will come
        self._has_room = asyncio.Event()  # media was taken

    @property
    def started_at_s(self) -> float | None:
        """Unix time of stream time zero; None before the first media."""
        return self._started_at_s

    @property
    def num_pending(self) -> int:
        """Chunks that wait for the stages."""
        return 0 if self._pipeline is None else self._pipeline.num_pending

    @property
    def is_settled(self) -> bool:
        """All that has come is in context, or given up."""
        is_cut = self._taping is None or self._taping.cutter.is_idle
        is_through = self._pipeline is None or self._pipeline.is_idle
        return not self._queue and not self._is_cutting and is_cut and is_through

    @property
    def lag_s(self) -> float:
        """Glass to context, seconds: of the last chunk, or of one that waits for longer already."""
        return 0.0 if self._pipeline is None else self._pipeline.lag_s

    def begin(
        self,
        *,
        has_video: bool,
        has_audio: bool,
        is_recorded: bool = False,
        is_next: bool = False,
    ) -> float:
        """What follows is a new publisher's; returns the Unix time of this moment.

        Args:
            has_video: It has a video track.
            has_audio: It has an audio track.
            is_recorded: Its times count from this moment and are its own: it waits for room, and
                none of it is late.
            is_next: It is one of several, and not the first.
        """
        now_s = self._around.clock()
        self._sampler = FrameSampler()
        self._recorded_s = now_s if is_recorded else None
        self._oversized = "none"
        self._queue.push(Begin(has_video, has_audio, now_s, is_recorded, is_next))
        return now_s

    async def wait_room(self) -> None:
        while self._queue.is_full or self._queue.span_s >= CHUNK_S:
            self._on_media(self._around.clock())
            self._has_room.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SIGN_S):
                    await self._has_room.wait()

    async def anchor(self) -> None:
        """Fix stream time zero without any media: chunks come ready-made, past this."""
        start = partial(self._around.store.start, self._session_id, self._around.clock())
        self._started_at_s = await insist(start, stage="store", config=self._config.pipeline.retry)

    def gone(self) -> None:
        """The publisher is gone: what it sent becomes chunks at once."""
        self._queue.push(Gone())

    def record(self, recorder: Recorder) -> None:
        """Let all that is cut from now on be taken down, from the first media if none has come."""
        self._recorder = recorder
        if self._taping is not None:
            self._taping.record(recorder, self._around.clock())

    def stop_recording(self) -> None:
        """Nothing more comes: the session is over, or goes to another replica."""
        if self._recorder is not None:
            self._recorder.stop("session_over", is_settled=True)

    def finish(self) -> None:
        """No more publishers will come: `run` returns when all is in context."""
        self._is_finishing = True
        self._has_news.set()

    def push(self, item: Picture | Sound) -> None:
        self._on_media(item.arrived_s)
        if isinstance(item, Picture) and not self._is_sampled(item):
            self._count("video", "skipped")
            return
        lost = self._queue.push(item)
        self._has_news.set()
        if lost is not None:
            self._count("video" if isinstance(lost, Picture) else "audio", "late")

    def discard(self, modality: str, result: str = "undecodable") -> None:
        self._count(modality, result)
        if result == "oversized" and self._recorded_s is None and self._oversized == "none":
            self._oversized = "seen"

    def take_oversized(self) -> bool:
        """Whether the live publisher sends pictures that are too large; True once for each."""
        is_new = self._oversized == "seen"
        if is_new:
            self._oversized = "told"
        return is_new

    async def run(self) -> None:
        """Work until `finish`, or until the session turns out to have ended elsewhere.

        Raises:
            SessionNotFound: It is gone.
            SessionEnded: It is over.
        """
        await self._has_news.wait()
        first_s = self._queue.first_media_s
        if first_s is None:
            return
        taping, pipeline = await self._start(first_s)
        self._pipeline = pipeline
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run(), name=f"pipeline {self._session_id}")
            while not pipeline.is_over and not (self._is_finishing and not self._queue):
                await asyncio.sleep(self._config.tick_s)
                await self._absorb(taping, pipeline)
            pipeline.finish()
        if pipeline.is_over:
            raise SessionEnded(self._session_id, reason=None)

    async def _start(self, first_s: float) -> tuple[Taping, SessionPipeline]:
        """Fix stream time zero at the first media, or go on from where the session was."""
        around, retry = self._around, self._config.pipeline.retry
        start = partial(around.store.start, self._session_id, first_s)
        started_at_s = await insist(start, stage="store", config=retry)
        record = await insist(
            partial(around.store.get, self._session_id), stage="store", config=retry
        )
        self._started_at_s = started_at_s
        chunker = Chunker(self._config.chunker, after_index=record.last_index)
        cutter = Cutter(chunker, started_at_s, has_thumbnails=self._config.has_thumbnails)
        taping = self._taping = Taping(record, cutter, self._config.chunker, self._config.recording)
        pipeline = SessionPipeline(
            self._session_id,
            around.stages,
            around.store,
            around.metrics,
            around.clock,
            self._config.pipeline,
            started_at_s=started_at_s,
            tracing=around.tracing,
            on_event=taping.tell,
        )
        if self._recorder is not None:
            taping.record(self._recorder, first_s)
        return taping, pipeline

    async def _absorb(self, taping: Taping, pipeline: SessionPipeline) -> None:
        cutter = taping.cutter
        now_s = self._around.clock()
        items = self._queue.take()
        self._has_room.set()
        if not items and cutter.is_idle:
            return
        self._is_cutting = True
        try:
            chunks = await taping.cut(items, now_s)
            await self._tell_placed(cutter.recorded_index)
            for chunk in chunks:
                if cutter.is_recorded:
                    await pipeline.wait_room()
                pipeline.put(chunk)
        except Exception:
            # a bug, which costs what had arrived but not the session
            logger.exception("media lost", extra={"session_id": self._session_id})
            return
        finally:
            self._is_cutting = False
        for (modality, result), number in cutter.take_counts().items():
            self._count(modality, result, number)

    async def _tell_placed(self, index: int | None) -> None:
        if index != self._placed_index:
            self._placed_index = index
            if index is not None and self._on_placed is not None:
                await self._on_placed(index)

    def _is_sampled(self, picture: Picture) -> bool:
        origin_s = self._started_at_s if self._recorded_s is None else self._recorded_s
        if origin_s is None:
            return True  # the slots are not known yet; the chunker chooses
        return self._sampler.admits(picture.at_s - origin_s)

    def _count(self, modality: str, result: str, number: int = 1) -> None:
        frames = self._around.metrics.ingest_frames_total
        frames.labels(modality=modality, result=result).inc(number)


__all__ = ["Intake"]
