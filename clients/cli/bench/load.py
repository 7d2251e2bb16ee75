"""Made-up publishers that stream, ask and count, all at once. Knows nothing about output."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from clients.cli.bench.tally import Tally
from clients.sdk import AsyncClient, ChunkEvent, DroppedEvent, OmniSiftError
from clients.sdk.media import open_synthetic
from clients.sdk.publish import publish

CHUNK_S = 2.0
# chunks of a service that is behind are waited for so long, and missing afterwards
CATCH_UP_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to put on the service.

    Attributes:
        num_publishers: At the same time.
        duration_s: How long each streams.
        ramp_s: The last one begins so much later than the first.
        ask_every_s: Pause between two questions to a session; 0: none are asked.
        profile: Of the sessions; None leaves the choice to the service.
    """

    num_publishers: int
    duration_s: float
    ramp_s: float
    ask_every_s: float
    question: str
    profile: str | None = None


async def run_load(
    client: AsyncClient, load: Load, on_tick: Callable[[Sequence[Tally]], None]
) -> list[Tally]:
    """Stream and ask until all are done; sessions are ended, however it ends.

    Args:
        client: Of the service.
        load: What to put on it.
        on_tick: Told twice a second how things stand.
    """
    tallies = [Tally() for _ in range(load.num_publishers)]
    pause_s = load.ramp_s / max(1, load.num_publishers - 1)
    async with asyncio.TaskGroup() as group:
        publishers = [
            group.create_task(_publisher(client, load, tally, pause_s * number))
            for number, tally in enumerate(tallies)
        ]
        while not all(task.done() for task in publishers):
            on_tick(tallies)
            await asyncio.wait(publishers, timeout=0.5)
    return tallies


async def _publisher(client: AsyncClient, load: Load, tally: Tally, wait_s: float) -> None:
    await asyncio.sleep(wait_s)
    try:
        session = await client.create_session(
            profile=load.profile, metadata={"made_by": "omnisift bench"}
        )
        tally.session_id = session.id
        try:
            await _stream(client, load, tally, session.id)
        finally:
            await client.end_session(session.id)
    except OmniSiftError as exc:
        tally.failure = str(exc)


async def _stream(client: AsyncClient, load: Load, tally: Tally, session_id: str) -> None:
    # an error is a value here: a task group would wrap it
    failure: OmniSiftError | None = None
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(_count(client, tally, session_id), name="events")]
        if load.ask_every_s:
            others.append(group.create_task(_ask(client, load, tally, session_id), name="asker"))
        try:
            with open_synthetic() as source:
                done = await publish(client, session_id, source, duration_s=load.duration_s)
            tally.num_reconnects = done.num_reconnects
            tally.num_late_frames = done.num_late_frames
            await _catch_up(tally, int(done.sent_s // CHUNK_S))
        except OmniSiftError as exc:
            failure = exc
        finally:
            for task in others:
                task.cancel()
    if failure is not None:
        raise failure


async def _catch_up(tally: Tally, num_chunks: int) -> None:
    deadline_s = time.monotonic() + CATCH_UP_LIMIT_S
    while len(tally.lags_s) + tally.num_dropped < num_chunks:
        if time.monotonic() > deadline_s:
            return
        await asyncio.sleep(0.1)


async def _count(client: AsyncClient, tally: Tally, session_id: str) -> None:
    with suppress(OmniSiftError):
        async with aclosing(client.events(session_id)) as events:
            async for event in events:
                if isinstance(event, ChunkEvent):
                    tally.tokens += event.tokens
                    if event.lag_s is not None:
                        tally.lags_s.append(event.lag_s)
                elif isinstance(event, DroppedEvent):
                    tally.num_dropped += 1


async def _ask(client: AsyncClient, load: Load, tally: Tally, session_id: str) -> None:
    while True:
        await asyncio.sleep(load.ask_every_s)
        if not tally.lags_s:
            continue  # nothing to answer from yet
        asked_s = time.monotonic()
        try:
            async with aclosing(client.ask_stream(session_id, load.question)) as pieces:
                await anext(pieces)
                tally.ttfts_s.append(time.monotonic() - asked_s)
                async for _ in pieces:
                    pass
        except OmniSiftError:
            tally.num_failed += 1


__all__ = ["Load", "run_load"]
