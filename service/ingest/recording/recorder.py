"""One recording while it is made: what a cutter sees goes in, parts of a file come out.

The session never waits for it, and all of it is bounded. Whoever downloads too slowly loses the
rest of the recording; its file is whole nevertheless and says at its end why it ended.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

from service.clock import Clock
from service.errors import ServiceError
from service.events import Event
from service.ingest.queue import Item
from service.ingest.recording.journal import Asked, EndReason, Header, Told
from service.ingest.recording.spool import Spool
from service.ingest.recording.tape import Tape
from service.ingest.source import Picture, Sound
from service.sessions.record import Turn

LINE_BYTES = 512  # about what a line of the journal takes
TICK_S = 0.1  # time alone ends a recording, too


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """Limits of recordings, and who makes them.

    Attributes:
        max_recordings: At the same time, of one replica; of a session there is one.
        max_s: Longest recording.
        max_bytes: Largest file, but for the media that it was just given.
        buffer_bytes: What may wait to be compressed or to be downloaded.
        part_bytes: Most that is handed over at once.
        wait_s: How long the first media may take, and a downloader between two parts.
        settle_s: How long the last chunks may take to reach the context.
        service: Version, for the header.
        model: The model's name, likewise.
    """

    max_recordings: int = 2
    max_s: float = 600.0
    max_bytes: int = 256 << 20
    buffer_bytes: int = 64 << 20
    part_bytes: int = 1 << 20
    wait_s: float = 60.0
    settle_s: float = 5.0
    service: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """Items that convert to the same however often; `num_bytes` is what they convert to."""

    items: tuple[Item, ...]
    num_bytes: int


class Recorder:
    """Takes down what one session's cutter sees, until `stop` or a limit.

    Args:
        seconds: Its length, as far as `config` allows.
        config: Limits.
        clock: Unix time.
        turns: Reads the session's questions and answers.
        on_written: Told of the file's bytes as they are made.
    """

    def __init__(
        self,
        seconds: float,
        config: RecordingConfig,
        clock: Clock,
        turns: Callable[[], Awaitable[Sequence[Turn]]],
        on_written: Callable[[int], None] | None = None,
    ) -> None:
        self._seconds = min(seconds, config.max_s)
        self._config = config
        self._clock = clock
        self._turns = turns
        self._on_written = on_written
        self._made_s = self._fetched_s = clock()
        self._header: Header | None = None
        self._tape: Tape | None = None
        self._spool = Spool(config.part_bytes)
        self._steps: deque[tuple[int, Callable[[], bytes]]] = deque()
        self._waiting_bytes = 0  # of media that is not on tape yet
        self._awaited: set[int] = set()
        self._end: tuple[EndReason, float] | None = None
        self._is_dropped = False
        self._has_news = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """It takes down what is seen."""
        return self._tape is not None and self._end is None

    def begin(self, header: Header) -> None:
        """The session has a cutter; what it sees follows. Later calls change nothing."""
        if self._tape is None and self._end is None:
            self._header, self._tape = header, Tape(header)
            self._push(LINE_BYTES, self._tape.begin)

    def look(self, seen: Converted, now_s: float) -> None:
        """Take down one call of `Cutter.cut`."""
        self._check_time(now_s)
        num_bytes = seen.num_bytes + LINE_BYTES
        if num_bytes + self._waiting_bytes + len(self._spool) > self._config.buffer_bytes:
            self.stop("too_slow")
        if self.is_open and self._tape is not None:
            self._push(num_bytes, partial(self._tape.look, seen.items, now_s))

    def expect(self, indices: Iterable[int]) -> None:
        """The cutter made these chunks, and the pipeline will tell what became of them."""
        if self.is_open:
            self._awaited.update(indices)

    def tell(self, event: Event) -> None:
        """Take down what the pipeline tells of a chunk."""
        if self._tape is None or self._spool.is_complete:
            return
        if event.type == "chunk" or event.type == "dropped":
            told = Told(event.type, dict(event.data))
            self._push(LINE_BYTES, partial(self._tape.add, told, event.at_s))
            self._awaited.discard(event.data["index"])

    def stop(self, reason: EndReason, *, is_settled: bool = False) -> None:
        """Take no more media. The first reason counts.

        Args:
            reason: Why.
            is_settled: Nothing more will be told of chunks either.
        """
        if self._end is None:
            self._end = (reason, self._clock())
        if is_settled:
            self._awaited.clear()
        self._has_news.set()

    def drop(self) -> None:
        """Nobody fetches the file any more."""
        self._is_dropped = True
        self.stop("stopped", is_settled=True)

    async def run(self) -> None:
        """Write the file; returns once it has been fetched, or nobody fetches it any more."""
        while not self._is_over():
            await self._write_all()
            if self._end is not None and not self._spool.is_complete and self._is_settled():
                await self._finish(*self._end)
            await self._rest()
        self._spool.complete()

    async def part(self, number: int, *, wait_s: float) -> bytes | None:
        """See `Spool.part`."""
        self._fetched_s = self._clock()
        return await self._spool.part(number, wait_s=wait_s)

    def _push(self, num_bytes: int, step: Callable[[], bytes]) -> None:
        self._steps.append((num_bytes, step))
        self._waiting_bytes += num_bytes
        self._has_news.set()

    async def _write_all(self) -> None:
        while self._steps:
            num_bytes, step = self._steps.popleft()
            self._write(await asyncio.to_thread(step))
            self._waiting_bytes -= num_bytes
            if self._spool.num_bytes >= self._config.max_bytes:
                self.stop("bytes")

    async def _finish(self, reason: EndReason, ended_s: float) -> None:
        if self._tape is not None and self._header is not None:
            for asked in await self._asked(self._header.recorded_at_s, ended_s):
                self._write(self._tape.add(asked, ended_s))
            await self._write_all()
            self._write(self._tape.end(reason, ended_s))
        self._spool.complete()

    def _write(self, data: bytes) -> None:
        self._spool.write(data)
        if self._on_written is not None:
            self._on_written(len(data))

    async def _asked(self, since_s: float, until_s: float) -> list[Asked]:
        try:
            turns = await self._turns()
        except ServiceError:
            return []  # the media is worth having without
        return [
            Asked(
                turn.question,
                turn.answer,
                turn.context_end_s,
                turn.finish_reason,
                turn.completion_tokens,
                turn.manner,
            )
            for turn in turns
            if since_s <= turn.asked_at_s <= until_s
        ]

    async def _rest(self) -> None:
        self._has_news.clear()
        try:
            async with asyncio.timeout(TICK_S):
                await self._has_news.wait()
        except TimeoutError:
            self._check_time(self._clock())

    def _check_time(self, now_s: float) -> None:
        if self._header is None:
            if now_s - self._made_s > self._config.wait_s:
                self.stop("no_media")
        elif now_s - self._header.recorded_at_s >= self._seconds:
            self.stop("seconds")

    def _is_settled(self) -> bool:
        assert self._end is not None
        return not self._awaited or self._clock() - self._end[1] > self._config.settle_s

    def _is_over(self) -> bool:
        is_late = self._clock() - self._fetched_s > self._config.wait_s
        return self._is_dropped or is_late or (self._spool.is_complete and not self._spool)


def convert(items: Sequence[Item]) -> Converted:
    """Convert what cutter and tape both need. Takes milliseconds: call it off the event loop."""
    done, num_bytes = [], 0
    for item in items:
        if isinstance(item, Picture):
            item, size = _picture(item)
            num_bytes += size
        elif isinstance(item, Sound):
            item, size = _sound(item)
            num_bytes += size
        done.append(item)
    return Converted(tuple(done), num_bytes)


def _picture(item: Picture) -> tuple[Picture, int]:
    try:
        pixels = item.convert()
    except ValueError as error:
        return replace(item, convert=partial(_fail, error)), 0
    return replace(item, convert=lambda: pixels), pixels.nbytes


def _sound(item: Sound) -> tuple[Sound, int]:
    try:
        samples = item.convert()
    except ValueError as error:
        return replace(item, convert=partial(_fail, error)), 0
    return replace(item, convert=lambda: samples), samples.nbytes


def _fail(error: ValueError) -> NoReturn:
    raise error


__all__ = ["Converted", "Recorder", "RecordingConfig", "convert"]
