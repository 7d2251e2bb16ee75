"""Who waits for what comes out of the scheduler. Used on the engine's thread alone."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from service.llm.engine import Finished, TokenDelta
from service.llm.jobs import ChunkOutcome, Outcome
from service.sessions.record import SessionId

Item = TokenDelta | Finished | Exception


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Where the items of an answer go, on whatever event loop reads them.

    Attributes:
        items: At most `max_tokens` deltas and an end, `Finished` or an error.
    """

    loop: asyncio.AbstractEventLoop
    items: asyncio.Queue[Item]


class Delivery:
    """Hands outcomes to those who wait for them."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[SessionId, int], Future[None]] = {}
        self._streams: dict[str, Stream] = {}

    def expect_chunk(self, session_id: SessionId, index: int, done: Future[None]) -> None:
        """Resolve `done` once the chunk's outcome is known."""
        self._chunks[session_id, index] = done

    def expect_answer(self, question_id: str, stream: Stream) -> None:
        """Send the question's outcomes to `stream`, up to the last."""
        self._streams[question_id] = stream

    def is_expected_by(self, stream: Stream, question_id: str) -> bool:
        """Whether the question's outcomes go to this very stream."""
        return self._streams.get(question_id) is stream

    def deliver(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Hand over outcomes.

        Returns:
            Questions whose event loop is closed: nobody will read their answers.
        """
        items: list[tuple[Stream, Item]] = []
        for outcome in outcomes:
            if isinstance(outcome, ChunkOutcome):
                resolve(self._chunks.pop((outcome.session_id, outcome.index)), outcome.error)
                continue
            items.append((self._streams[outcome.question_id], outcome.item))
            if not isinstance(outcome.item, TokenDelta):
                del self._streams[outcome.question_id]
        closed = send(items)
        return [name for name, stream in self._streams.items() if stream.loop in closed]

    def fail_all(self, error: Exception) -> None:
        """Tell everyone who waits that nothing will come."""
        for done in self._chunks.values():
            resolve(done, error)
        send((stream, error) for stream in self._streams.values())
        self._chunks.clear()
        self._streams.clear()


def resolve(done: Future[None], error: Exception | None = None) -> None:
    """Set the result of a future, unless whoever waited has been cancelled."""
    if not done.set_running_or_notify_cancel():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def send(items: Iterable[tuple[Stream, Item]]) -> set[asyncio.AbstractEventLoop]:
    """Put items into their streams, with one wake-up per event loop.

    Returns:
        Loops that are closed; what was for them is lost.
    """
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Stream, Item]]] = defaultdict(list)
    for stream, item in items:
        by_loop[stream.loop].append((stream, item))
    closed = set()
    for loop, batch in by_loop.items():
        try:
            loop.call_soon_threadsafe(_put, batch)
        except RuntimeError:
            closed.add(loop)
    return closed


def _put(items: Iterable[tuple[Stream, Item]]) -> None:
    for stream, item in items:
        stream.items.put_nowait(item)
