"""A source that the service fetches by itself: its states, and when it is tried again.

connecting ──> live ──> ended
    │           │ ^
    │           v │
    └──> reconnecting ──> failed

Only what is live is tried again, with growing pauses, until it has been away for too long. One that
another replica goes on with begins as reconnecting. Knows nothing about sessions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from service.clock import Clock
from service.errors import ServiceError
from service.ingest.container import Container
from service.ingest.origin import Origin
from service.ingest.playback import Pace, RoomySink, Speed, play
from service.ingest.source import MediaSource
from service.retry import RetryConfig, backoffs
from service.source_errors import SourceUnreachable
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

State = Literal["connecting", "live", "reconnecting", "ended", "failed"]
CUT = "it is longer than what is played of one"
STOPPED = "stopped"
MOVES = "it moves to another replica"
MOVED = "the replica that fetched it is gone"
STEADY_S = 10.0  # what was live for so long is tried again at once
LAST_STATES = frozenset({"ended", "failed"})


@dataclass(frozen=True, slots=True)
class SourceView:
    """What is told of a source.

    Attributes:
        id: Names it within its session.
        url: Without user, password and query; None for an upload.
        state: Where it stands.
        reason: Why, where it is not live; None where there is nothing to say.
        since_s: Unix time of the state's begin.
    """

    id: str
    url: str | None
    speed: Speed
    state: State
    reason: str | None
    since_s: float

    @property
    def is_over(self) -> bool:
        """Nothing more comes of it."""
        return self.state in LAST_STATES


Tell = Callable[[SourceView], Awaitable[None]]


class Pull(MediaSource):
    """Plays an origin into a sink until it ends, fails or is closed.

    Args:
        source_id: Its name.
        origin: What is fetched.
        speed: Of a media file; a live source has its own.
        sink: Where the media goes.
        clock: Unix time.
        retry: Pauses between attempts; `deadline_s` is how long a live source may be away.
        tell: Told of every state.
        skip_s: Seconds of a media file that were played before.
        is_resumed: Another replica has fetched it up to now.
    """

    def __init__(
        self,
        source_id: str,
        origin: Origin,
        speed: Speed,
        sink: RoomySink,
        clock: Clock,
        retry: RetryConfig,
        tell: Tell,
        *,
        skip_s: float = 0.0,
        is_resumed: bool = False,
    ) -> None:
        self._origin = origin
        self._sink = sink
        self._clock = clock
        self._retry = retry
        self._tell = tell
        self._skip_s = skip_s
        self._last_words: tuple[State, str] | None = ("ended", STOPPED)
        state: State = "reconnecting" if is_resumed else "connecting"
        reason = MOVED if is_resumed else None
        self._view = SourceView(source_id, origin.url, speed, state, reason, clock())
        self._begun = self._view
        self._is_endless = origin.is_live
        self._tasks = TaskSet()
        self._gone = asyncio.Event()

    @property
    def begun(self) -> SourceView:
        """How it stood at first."""
        return self._begun

    @property
    def view(self) -> SourceView:
        """How it stands."""
        return self._view

    def start(self) -> None:
        """Begin to fetch."""
        self._tasks.spawn(self._run(), name=f"source {self._view.id}")

    def leave(self, last_words: tuple[State, str] | None) -> None:
        """Choose what closing tells: state and reason, or nothing; without it, that it stopped."""
        self._last_words = last_words

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def aclose(self) -> None:
        await self._tasks.aclose()
        self._origin.close()
        if not self._view.is_over and self._last_words is not None:
            await self._enter(*self._last_words)
        self._gone.set()

    async def _run(self) -> None:
        try:
            await self._enter(self._view.state, self._view.reason)
            await self._follow()
        except Exception:
            logger.exception("source failed")
            await self._enter("failed", "internal error")
        finally:
            self._gone.set()

    async def _follow(self) -> None:
        """Play, again and again where it is live."""
        loop = asyncio.get_running_loop()
        pauses, away_since_s = backoffs(self._retry), loop.time()
        while True:
            failure = await self._play()
            if failure is None:
                return
            if self._view.state == "live":
                away_since_s = loop.time()
                if self._clock() - self._view.since_s >= STEADY_S:  # one that flaps is not hurried
                    pauses = backoffs(self._retry)
            is_late = loop.time() - away_since_s > self._retry.deadline_s
            if is_late or not (self._is_endless and failure.is_retryable):
                await self._enter("failed", failure.message)
                return
            await self._enter("reconnecting", failure.message)
            await asyncio.sleep(next(pauses))

    async def _play(self) -> ServiceError | None:
        """Play once; why it stopped, None where it has ended."""
        pace: Pace = "live" if self._origin.is_live else self._view.speed
        try:
            async with self._origin.connected() as opener:
                container = await play(
                    opener,
                    self._sink,
                    self._clock,
                    pace=pace,
                    skip_s=self._skip_s,
                    on_open=self._on_open,
                )
        except ServiceError as error:
            return error
        if self._origin.is_live:
            return SourceUnreachable("the stream ended")
        await self._enter("ended", CUT if container.is_cut else None)
        return None

    async def _on_open(self, container: Container) -> None:
        self._is_endless = self._origin.is_live or container.is_endless
        await self._enter("live")

    async def _enter(self, state: State, reason: str | None = None) -> None:
        self._view = replace(self._view, state=state, reason=reason, since_s=self._clock())
        await self._tell(self._view)


__all__ = ["MOVED", "MOVES", "STOPPED", "Pull", "SourceView", "State", "Tell"]
