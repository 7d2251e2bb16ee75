"""An LLM deployment that dies in the middle of its work, and a count of its deaths."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from service.llm.engine import Finished, Question, TokenDelta
from service.tracing import Carrier

DELTA = TokenDelta("so far", 1)
END = Finished("whole", "stop", 1, 1, 0.0, 2.0, 0.1, 0.1)


@dataclass(frozen=True)
class Deaths:
    """A file with a mark for each death."""

    path: Path

    @property
    def number(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def add(self) -> None:
        with self.path.open("a") as marks:
            marks.write("x")


class Fragile:
    """Dies where the question says so.

    The model that comes with the service answers too briefly to be caught in the middle of it.
    """

    def __init__(self, deaths: Deaths) -> None:
        self._deaths = deaths

    async def ask(
        self,
        session_id: str,
        question: Question,
        *,
        steal_from: str | None = None,
        parent: Carrier | None = None,
    ) -> AsyncIterator[TokenDelta | Finished]:
        if question.id == "dies midway":
            yield DELTA
            await asyncio.sleep(0.2)  # so that it is on its way
            self._die()
        if question.id == "dies always" or self._deaths.number == 0:
            self._die()
        yield END

    def _die(self) -> None:
        self._deaths.add()
        os.kill(os.getpid(), signal.SIGKILL)
