"""Where an LLM replica writes down its answers: the store, and memory while that is away."""

import logging
from collections import deque

from service.errors import ServiceError, StoreUnavailable
from service.llm.dictation import Dictation, measure
from service.metrics import Metrics
from service.sessions.record import Turn
from service.sessions.store import SessionStore

logger = logging.getLogger(__name__)

MAX_WAITING = 256  # turns, of all sessions; the oldest gives way


class Notebook:
    """Stores turns in the order of their ends; those that the store did not take wait for it."""

    def __init__(
        self, store: SessionStore, metrics: Metrics, *, logs_prompts: bool = False
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._logs_prompts = logs_prompts
        self._waiting: deque[tuple[Dictation, Turn]] = deque()
        self._is_catching_up = False

    @property
    def num_waiting(self) -> int:
        """Turns that the store has not taken yet."""
        return len(self._waiting)

    async def write(self, dictation: Dictation, turn: Turn) -> None:
        """Count an answer and store it, if anything was said."""
        measure(turn, self._metrics)
        if self._logs_prompts:
            texts = {"question": turn.question, "answer": turn.answer}
            logger.info("turn %s", turn.id, extra=texts)
        if turn.finish_reason == "error" and not turn.completion_tokens:
            return  # it was refused
        if self._waiting or not await self._is_settled(dictation, turn):
            self._keep(dictation, turn)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Store what waits, as far as the store takes it; one call at a time does so."""
        if self._is_catching_up:
            return
        self._is_catching_up = True
        try:
            while self._waiting and await self._is_settled(*self._waiting[0]):
                self._waiting.popleft()
        finally:
            self._is_catching_up = False

    def _keep(self, dictation: Dictation, turn: Turn) -> None:
        if len(self._waiting) >= MAX_WAITING:
            place = 1 if self._is_catching_up else 0  # the first may be on its way
            logger.warning("turn %s is not remembered: too many wait", self._waiting[place][1].id)
            del self._waiting[place]
        self._waiting.append((dictation, turn))

    async def _is_settled(self, dictation: Dictation, turn: Turn) -> bool:
        """Store a turn; False where that may work later."""
        try:
            await dictation.store(turn, self._store)
        except StoreUnavailable as error:
            logger.warning("turn %s waits for the store: %s", turn.id, error)
            return False
        except ServiceError as error:
            logger.warning("turn %s is not remembered: %s", turn.id, error)
        return True


__all__ = ["MAX_WAITING", "Notebook"]
