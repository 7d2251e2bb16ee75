"""Sources whose replica is gone: noticed, and given to another.

Whoever fetches a source says so twice a second (`Pulls.care`). One that falls silent is asked for
at its owner, as any call about its session is made: where the owner is gone, the call lands on
another replica, which takes the lease over and goes on. Knows neither Ray nor HTTP.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from service.errors import ServiceError, SessionEnded, SessionNotFound
from service.sessions.record import SessionId
from service.sessions.store import SourceStore
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

SILENT_S = 1.5
SWEEP_S = 0.5
CALL_S = 15.0
MAX_AT_ONCE = 32
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0


class Patience:
    """Whom to try to help now: who could not be helped waits, each time twice as long. Pure."""

    def __init__(self) -> None:
        self._waits: dict[SessionId, tuple[float, float]] = {}  # (until, pause after that)

    def due(self, silent: Sequence[SessionId], now_s: float) -> list[SessionId]:
        """Those among the silent whose time has come; who is silent no longer is forgotten."""
        self._waits = {known: self._waits[known] for known in silent if known in self._waits}
        return [known for known in silent if self._waits.get(known, (now_s, 0.0))[0] <= now_s]

    def failed(self, session_id: SessionId, now_s: float) -> None:
        """It could not be helped now."""
        _, pause_s = self._waits.get(session_id, (now_s, FIRST_PAUSE_S))
        self._waits[session_id] = now_s + pause_s, min(2 * pause_s, MAX_PAUSE_S)


class Rescue:
    """Looks for silent sources, and calls for them. Several may look at the same time.

    Args:
        sources: Knows who is silent.
        resume: Calls for a session's source; False where it has none.
        is_paused: Whether to look away: the whole service stops.
    """

    def __init__(
        self,
        sources: SourceStore,
        resume: Callable[[SessionId], Awaitable[bool]],
        is_paused: Callable[[], bool],
    ) -> None:
        self._sources = sources
        self._resume = resume
        self._is_paused = is_paused
        self._patience = Patience()
        self._tasks = TaskSet()

    def start(self) -> None:
        """Begin to look, every `SWEEP_S`."""
        self._tasks.spawn(self._run(), name="rescue of sources")

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self._is_paused():
                continue
            try:
                silent = await self._sources.silent(SILENT_S, limit=MAX_AT_ONCE)
                now_s = asyncio.get_running_loop().time()
                await asyncio.gather(*map(self._help, self._patience.due(silent, now_s)))
            except ServiceError as error:
                logger.debug("silent sources not looked for: %s", error)
            except Exception:
                logger.exception("silent sources not looked for")

    async def _help(self, session_id: SessionId) -> None:
        try:
            async with asyncio.timeout(CALL_S):
                is_there = await self._resume(session_id)
        except (SessionEnded, SessionNotFound):
            is_there = False
        except (ServiceError, TimeoutError) as error:
            logger.warning("source not resumed: %s", error, extra={"session_id": session_id})
            self._patience.failed(session_id, asyncio.get_running_loop().time())
            return
        if not is_there:
            await self._sources.drop(session_id)


__all__ = ["Patience", "Rescue"]
