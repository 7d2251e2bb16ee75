"""Plays media containers into a session: pulls what a publisher would push.

Decoding is one thread's, and pull is the rule: nothing is read that has no room, so that nothing a
media file holds is dropped, whatever the pipeline's pace. Only a live source is read as it comes,
and what is too much is given up by the sink.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Literal, Protocol, TypeVar

from service.clock import Clock
from service.errors import ServiceError
from service.ingest.container import Container
from service.ingest.source import MediaSink, MediaSource, Picture, Sound
from service.media.timeline import Placed, Timeline
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Speed = Literal["realtime", "fast"]
Pace = Literal["realtime", "fast", "live"]


class RoomySink(MediaSink, Protocol):
    """A sink that can be filled without loss."""

    def begin(
        self,
        *,
        has_video: bool,
        has_audio: bool,
        is_recorded: bool = False,
        is_next: bool = False,
    ) -> float:
        """What follows is a new publisher's; returns the Unix time of this moment."""
        ...

    async def wait_room(self) -> None:
        """Return once another item is taken without any being given up."""
        ...


class Playback(MediaSource):
    """Plays containers, one after the other, to the end of the last.

    Args:
        openers: Each opens one; they block, raise `MediaUnreadable` and the like.
        sink: Where the media goes.
        clock: Unix time.
        pace: "realtime" waits until each moment has come, "fast" for nothing but room, "live"
            takes media as it arrives.
    """

    def __init__(
        self,
        openers: Sequence[Callable[[], Container]],
        sink: RoomySink,
        clock: Clock,
        *,
        pace: Pace,
    ) -> None:
        self._openers = openers
        self._sink = sink
        self._clock = clock
        self._pace = pace
        self._tasks = TaskSet()
        self._gone = asyncio.Event()
        self._failure: ServiceError | None = None
        self._is_complete = False

    @property
    def failure(self) -> ServiceError | None:
        """Why it stopped before its end; None where it did not."""
        return self._failure

    @property
    def is_complete(self) -> bool:
        """It was played to its end."""
        return self._is_complete

    def start(self) -> None:
        """Begin to play."""
        self._tasks.spawn(self._run(), name="playback")

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def aclose(self) -> None:
        await self._tasks.aclose()
        self._gone.set()

    async def _run(self) -> None:
        try:
            for number, opener in enumerate(self._openers):
                await play(opener, self._sink, self._clock, pace=self._pace, is_next=number > 0)
            self._is_complete = True
        except ServiceError as error:
            self._failure = error
        finally:
            self._gone.set()


async def play(
    open_container: Callable[[], Container],
    sink: RoomySink,
    clock: Clock,
    *,
    pace: Pace,
    skip_s: float = 0.0,
    is_next: bool = False,
    on_open: Callable[[Container], Awaitable[None]] | None = None,
) -> Container:
    """Play a container to its end, and return it; see `Playback`.

    Args:
        open_container: Opens it, on the decoder's thread.
        sink: Where the media goes.
        clock: Unix time.
        pace: As of `Playback`.
        skip_s: Seconds at the beginning of a media file that are left out.
        is_next: It goes on where the media file before it ended.
        on_open: Called once it is open.

    Raises:
        MediaUnreadable: Nothing in it can be decoded.
        SourceUnreachable: It cannot be reached, or was lost.
        ServiceError: What `open_container` raises.
    """
    decoder = _Decoder()
    try:
        container = await decoder.run(partial(decoder.open, open_container))
        if skip_s > 0:
            await decoder.run(partial(container.skip, skip_s))
        kinds = container.kinds
        began_s = sink.begin(
            has_video="video" in kinds,
            has_audio="audio" in kinds,
            is_recorded=pace != "live",
            is_next=is_next,
        )
        if on_open is not None:
            await on_open(container)
        place = _Live(clock) if pace == "live" else _Recorded(sink, clock, began_s, pace)
        while not container.is_over:
            items = await decoder.run(container.read)
            for (modality, result), number in container.take_discards().items():
                for _ in range(number):
                    sink.discard(modality, result)
            for item in items:
                for placed in await place(item):
                    sink.push(placed)
        for placed in place.settle():
            sink.push(placed)
        return container
    finally:
        decoder.close()


class _Recorded:
    """Places a media file from the moment it began."""

    def __init__(self, sink: RoomySink, clock: Clock, began_s: float, pace: Pace) -> None:
        self._sink = sink
        self._clock = clock
        self._began_s = began_s
        self._is_paced = pace == "realtime"

    async def __call__(self, item: Picture | Sound) -> list[Picture | Sound]:
        at_s = self._began_s + item.at_s
        if self._is_paced:
            await asyncio.sleep(max(0.0, at_s - self._clock()))
        await self._sink.wait_room()
        return [replace(item, at_s=at_s, arrived_s=self._clock())]

    def settle(self) -> list[Picture | Sound]:
        return []


class _Live:
    """Places a live source's tracks by arrival, as a WebRTC peer's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timelines: dict[type, Timeline[Picture | Sound]] = {
            Picture: Timeline(),
            Sound: Timeline(),
        }

    async def __call__(self, item: Picture | Sound) -> list[Picture | Sound]:
        placed = self._timelines[type(item)].add(item.at_s, self._clock(), item)
        return [_at(one) for one in placed]

    def settle(self) -> list[Picture | Sound]:
        """What waited for more, which does not come."""
        held = (timeline.settle() for timeline in self._timelines.values())
        return [_at(one) for placed in held for one in placed]


def _at(placed: Placed[Picture | Sound]) -> Picture | Sound:
    return replace(placed.item, at_s=placed.at_s, arrived_s=placed.arrived_s)


class _Decoder:
    """One thread, and the container that is its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        self._container: Container | None = None

    def open(self, open_container: Callable[[], Container]) -> Container:
        """On the thread: whoever waited for it may be gone by now."""
        self._container = open_container()
        return self._container

    def run(self, call: Callable[[], Result]) -> Awaitable[Result]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """Close the container once the thread is done with it; waits for nothing."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()


__all__ = ["Pace", "Playback", "RoomySink", "Speed", "play"]
