"""A session's cutter with somebody who may take down what it sees."""

import asyncio
from collections.abc import Sequence

from service.events import Event
from service.ingest.cutter import Cutter
from service.ingest.queue import Item
from service.ingest.recording.journal import Header
from service.ingest.recording.recorder import Recorder, RecordingConfig, convert
from service.media.chunk import CHUNK_S, MediaChunk
from service.media.chunker import ChunkerConfig
from service.sessions.record import Session


class Taping:
    """Cuts, and records while there is a recorder.

    Args:
        session: As it was before the cutter's first chunk, with its stream time zero.
        cutter: The session's.
        chunker: How it cuts.
        config: Who records.
    """

    def __init__(
        self, session: Session, cutter: Cutter, chunker: ChunkerConfig, config: RecordingConfig
    ) -> None:
        self._session = session
        self.cutter = cutter
        self._chunker = chunker
        self._config = config
        self._recorder: Recorder | None = None
        self._has_cut = False

    def record(self, recorder: Recorder, now_s: float) -> None:
        """Take down all that is cut from now on."""
        self._recorder = recorder
        recorder.begin(self._header(now_s))

    async def cut(self, items: Sequence[Item], now_s: float) -> list[MediaChunk]:
        """See `Cutter.cut`; not on the event loop's thread."""
        self._has_cut = True
        recorder = self._recorder
        if recorder is None or not recorder.is_open:
            return await asyncio.to_thread(self.cutter.cut, items, now_s)
        seen = await asyncio.to_thread(convert, items)
        recorder.look(seen, now_s)
        chunks = await asyncio.to_thread(self.cutter.cut, seen.items, now_s)
        recorder.expect(chunk.index for chunk in chunks)
        return chunks

    def tell(self, event: Event) -> None:
        """What the pipeline told."""
        if self._recorder is not None:
            self._recorder.tell(event)

    def _header(self, now_s: float) -> Header:
        """A recording that begins late begins with the first chunk that will have all its media."""
        session, cutter = self._session, self.cutter
        assert session.started_at_s is not None
        is_whole = session.last_index < 0 and not self._has_cut
        present = int((now_s - session.started_at_s + cutter.lead_s) // CHUNK_S)
        return Header(
            service=self._config.service,
            model=self._config.model,
            session_id=session.id,
            config=session.config,
            chunker=self._chunker,
            recorded_at_s=now_s,
            started_at_s=session.started_at_s,
            after_index=-1 if is_whole else max(present, session.last_index),
            is_whole=is_whole,
            lead_s=cutter.lead_s,
            is_recorded=cutter.is_recorded,
        )


__all__ = ["Taping"]
