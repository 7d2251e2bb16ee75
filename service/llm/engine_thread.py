"""A thread that obeys commands and otherwise works. Knows nothing about what either means."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from service.errors import EngineUnavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """Something to run on the thread; exactly one of the two is called, once.

    Attributes:
        run: May raise, to the same effect as `fail`.
        fail: Takes what `run` raised, or why it never ran; on any thread.
    """

    run: Callable[[], None]
    fail: Callable[[Exception], object]


class Work(Protocol):
    """What the thread does between commands; all of it runs on the thread."""

    @property
    def has_work(self) -> bool:
        """Whether `step` would get anything done."""
        ...

    def step(self) -> None:
        """Do some of the work. Raising stops the thread for good."""
        ...

    def rest(self) -> None:
        """There is nothing to do until the next command."""
        ...

    def stop(self, error: EngineUnavailable) -> None:
        """Nothing more will be done."""
        ...


class EngineThread:
    """Runs commands in the order of their posting, before each step of the work."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._reason_down: str | None = None
        self._thread = Thread(target=self._run, name="llm engine", daemon=True)
        self._thread.start()

    def post(self, command: Command) -> None:
        """Queue a command; it fails with `EngineUnavailable` once the thread has stopped."""
        self._commands.put(command)
        if self._reason_down is not None:
            self._fail_commands(self._reason_down)

    def check(self) -> None:
        """Raise `EngineUnavailable` if the thread has stopped."""
        if self._reason_down is not None:
            raise EngineUnavailable(self._reason_down)

    def stop(self) -> None:
        """Stop after the commands posted so far, and wait for it. May be called again."""
        self._commands.put(None)
        self._thread.join()

    def _run(self) -> None:
        reason = "the engine was stopped"
        try:
            while self._obey():
                self._work.step()
        except Exception:
            logger.exception("the engine failed")
            reason = "the engine failed"
        self._reason_down = reason
        self._work.stop(EngineUnavailable(reason))
        self._fail_commands(reason)

    def _obey(self) -> bool:
        """Run the commands that wait; without work, wait for one. False to stop."""
        while True:
            has_work = self._work.has_work
            if not has_work:
                self._work.rest()
            try:
                command = self._commands.get(block=not has_work)
            except Empty:
                return True
            if command is None:
                return False
            try:
                command.run()
            except Exception as error:
                command.fail(error)

    def _fail_commands(self, reason: str) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            if command is not None:
                command.fail(EngineUnavailable(reason))
