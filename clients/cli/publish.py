"""`omnisift publish`. Knows nothing about options or exit codes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from clients.cli.console import Console
from clients.cli.render import progress_line, sent_line
from clients.sdk import AsyncClient, ChunkEvent, OmniSiftError, Tokens
from clients.sdk.codec import encode
from clients.sdk.publish import OnProgress, Progress

Send: TypeAlias = Callable[[AsyncClient, str, OnProgress], Awaitable[Progress]]
"""How media gets into a session: client, session id and whom to tell -> what was sent."""

# the last chunk is compressed and in context about this long after its last frame was sent
CATCH_UP_LIMIT_S = 4.0
CHUNK_S = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to publish into.

    Attributes:
        session_id: An existing session; None makes one.
        profile: Of a new session; None leaves the choice to the service.
        is_ended: End the session when done.
    """

    session_id: str | None
    profile: str | None
    is_ended: bool


class Board:
    """What is known while publishing, from this side and from the session's events."""

    def __init__(self, console: Console, *, is_json: bool, now: Callable[[], float]) -> None:
        self.tokens = Tokens.zero()
        self.num_chunks = 0
        self.lag_s: float | None = None
        self._context_s = 0.0
        self._console = console
        self._is_json = is_json
        self._now = now
        self._last_state = ""

    def on_progress(self, progress: Progress) -> None:
        if progress.state == "reconnecting" and self._last_state != "reconnecting":
            self._console.note(f"{progress.failure}; connecting again")
        self._last_state = progress.state
        if not self._is_json and progress.state != "done":
            line = progress_line(progress.state, progress.sent_s, self.tokens, self.lag_s)
            self._console.progress(line, state=progress.state, now_s=self._now())

    def on_chunk(self, chunk: ChunkEvent) -> None:
        self.tokens += chunk.tokens
        self.num_chunks += 1
        self.lag_s = chunk.lag_s
        self._context_s = chunk.end_s

    def has_caught_up(self, sent_s: float) -> bool:
        """Every whole chunk of what was sent is in the context."""
        return self._context_s >= sent_s // CHUNK_S * CHUNK_S

    def summary(self, session_id: str, done: Progress) -> dict[str, object]:
        return {
            "type": "done",
            "session_id": session_id,
            "sent_s": round(done.sent_s, 3),
            "chunks": self.num_chunks,
            "tokens": encode(self.tokens),
            "lag_s": self.lag_s,
            "reconnects": done.num_reconnects,
        }


async def run_publish(
    client: AsyncClient,
    console: Console,
    send: Send,
    order: Order,
    *,
    is_json: bool,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Send media into a session, telling the session's id first and how it goes meanwhile."""
    session_id = order.session_id
    if session_id is None:
        session_id = (await client.create_session(profile=order.profile)).id
    _introduce(console, session_id, client.base_url, is_json=is_json)
    board = Board(console, is_json=is_json, now=now)
    done = await _send_and_follow(client, session_id, send, board)
    is_useless = (
        isinstance(done, OmniSiftError) and order.session_id is None and not board.num_chunks
    )
    if order.is_ended or is_useless:
        with suppress(OmniSiftError):
            await client.end_session(session_id)
    if isinstance(done, OmniSiftError):
        raise done
    _conclude(console, session_id, board, done, is_ended=order.is_ended, is_json=is_json)


async def _send_and_follow(
    client: AsyncClient, session_id: str, send: Send, board: Board
) -> Progress | OmniSiftError:
    # an error is a value here: a task group would wrap it
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(_follow(client, session_id, board), name="events")
        try:
            done = await send(client, session_id, board.on_progress)
            await _catch_up(board, follower, done)
        except OmniSiftError as exc:
            return exc
        finally:
            follower.cancel()
    return done


async def _follow(client: AsyncClient, session_id: str, board: Board) -> None:
    # progress is a courtesy: publishing goes on without it
    with suppress(OmniSiftError):
        async for event in client.events(session_id, replay=False):
            if isinstance(event, ChunkEvent):
                board.on_chunk(event)


async def _catch_up(board: Board, follower: "asyncio.Task[None]", done: Progress) -> None:
    deadline_s = time.monotonic() + CATCH_UP_LIMIT_S
    while not follower.done() and not board.has_caught_up(done.sent_s):
        if time.monotonic() > deadline_s:
            return
        await asyncio.sleep(0.05)


def _introduce(console: Console, session_id: str, url: str, *, is_json: bool) -> None:
    if is_json:
        console.json({"type": "session", "session_id": session_id, "url": url})
        return
    console.result(session_id)
    console.note(f"publishing to {url}; ask from another terminal:")
    console.note(f'  omnisift ask {session_id} "what is seen ?"')


def _conclude(
    console: Console,
    session_id: str,
    board: Board,
    done: Progress,
    *,
    is_ended: bool,
    is_json: bool,
) -> None:
    if is_json:
        console.json(board.summary(session_id, done))
        return
    console.note(sent_line(done.sent_s, board.num_chunks, board.tokens))
    console.note(f"session {session_id} {'has ended' if is_ended else 'stays open for questions'}")
    if done.num_reconnects:
        console.note(f"the connection was lost and made again {done.num_reconnects} times")
    if done.num_late_frames:
        console.note(f"this machine was too slow for {done.num_late_frames} of the pictures")
