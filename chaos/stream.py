"""One live stream of a scene with known answers, and what its watcher was told."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from chaos.clips import WINDOW_S, Clip
from chaos.ledger import Account
from clients.sdk import AsyncClient
from clients.sdk.errors import OmniSiftError
from clients.sdk.events import ChunkEvent, DroppedEvent, StatusEvent
from clients.sdk.media.file import open_file
from clients.sdk.publish import Progress, publish

Say = Callable[[str], None]

ANSWER_LIMIT_S = 20.0
LEAST_S = 0.01  # of media, a frame of sound's features


class LiveStream:
    """Publishes a clip in a loop and follows its session's events, over whatever happens.

    Attributes:
        session_id: Of the session, once `run` has made it.
    """

    def __init__(self, client: AsyncClient, clip: Clip, say: Say) -> None:
        self.session_id = ""
        self._client = client
        self._clip = clip
        self._say = say
        self._told: list[int] = []
        self._num_dropped = 0
        self._started_at_s: float | None = None
        self._end_at_s = 0.0
        self._last_state = ""
        self._grew = asyncio.Condition()
        self._is_created = asyncio.Event()

    async def run(self) -> None:
        """Stream until cancelled; `outage_limit_s` of the publisher bounds what it bears."""
        self.session_id = (await self._client.create_session(metadata={"source": "chaos"})).id
        self._is_created.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(), name=f"watch {self.session_id}")
            with open_file(self._clip.path, loop=True) as source:
                await publish(self._client, self.session_id, source, on_progress=self._on_progress)

    async def created(self) -> None:
        """Wait until it has a session."""
        await self._is_created.wait()

    async def reach(self, at_s: float) -> None:
        """Wait until media of after `at_s` (Unix time) is in context, and told to be."""
        async with self._grew:
            await self._grew.wait_for(lambda: self._end_at_s > at_s)

    async def grow(self, num_chunks: int) -> None:
        """Wait for so many more chunks."""
        goal = len(self._told) + num_chunks
        async with self._grew:
            await self._grew.wait_for(lambda: len(self._told) >= goal)

    async def is_answered(self) -> bool:
        """Whether a question gets any answer at all."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await self._client.ask(self.session_id, self._clip.question, max_tokens=1)
        except (OmniSiftError, TimeoutError):
            return False
        return True

    async def is_answered_right(self) -> bool:
        """Ask what is known; whatever goes wrong is no right answer."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._client.ask(
                    self.session_id, self._clip.question, window_s=WINDOW_S, max_tokens=8
                )
        except (OmniSiftError, TimeoutError) as exc:
            self._say(f"{self.session_id}: not answered: {exc!r}")
            return False
        if answer.answer.strip().lower() != self._clip.answer:
            self._say(f"{self.session_id}: {answer.answer!r}, not {self._clip.answer!r}")
            return False
        return True

    def account(self, logged: list[int]) -> Account:
        """What was told, beside the indices of the session's log."""
        return Account(self.session_id, tuple(self._told), logged, self._num_dropped)

    async def _watch(self) -> None:
        async with aclosing(self._client.events(self.session_id)) as events:
            async for event in events:
                if isinstance(event, StatusEvent) and event.started_at_s is not None:
                    self._started_at_s = event.started_at_s
                elif isinstance(event, DroppedEvent):
                    self._num_dropped += 1
                    self._say(f"{self.session_id}: chunk {event.index} dropped: {event.reason}")
                elif isinstance(event, ChunkEvent):
                    await self._take(event)

    async def _take(self, event: ChunkEvent) -> None:
        async with self._grew:
            self._told.append(event.index)
            if self._started_at_s is None:
                session = await self._client.get_session(self.session_id)
                self._started_at_s = session.started_at_s
            if has_media(event):
                self._end_at_s = (self._started_at_s or 0.0) + event.end_s
            self._grew.notify_all()

    def _on_progress(self, progress: Progress) -> None:
        if progress.state != self._last_state and progress.failure is not None:
            self._say(f"{self.session_id}: {progress.failure}; connecting again")
        self._last_state = progress.state


def has_media(event: ChunkEvent) -> bool:
    """Whether there is anything in a chunk but gaps."""
    missing_s = {"video": 0.0, "audio": 0.0}
    for gap in event.gaps:
        missing_s[gap.modality] += gap.duration_s
    return event.end_s - event.start_s - min(missing_s.values()) > LEAST_S


__all__ = ["LiveStream", "Say", "has_media"]
