"""A file sent at once and played by the service. Knows nothing about options or output."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from clients.sdk import AsyncClient, SourceUnavailable
from clients.sdk.publish import Progress

POLL_S = 0.25


async def play(
    client: AsyncClient,
    session_id: str,
    path: Path,
    on_progress: Callable[[Progress], None],
) -> Progress:
    """Send a file and wait until the service has played it, as fast as it can.

    Raises:
        SourceUnavailable: The file cannot be read, here or there, or broke on the way.
        OmniSiftError: The service refused it, or went away.
    """
    begin_s = (await client.get_session(session_id)).stream_s
    on_progress(Progress("connecting"))
    source = await client.upload(session_id, path, speed="fast")
    while not source.is_over:
        session = await client.get_session(session_id)
        on_progress(Progress("live", session.stream_s - begin_s))
        await asyncio.sleep(POLL_S)
        found = [one for one in await client.list_sources(session_id) if one.id == source.id]
        if not found:
            raise SourceUnavailable(f"{path}: the service gave it up when its replica went away")
        (source,) = found
    if source.state == "failed":
        raise SourceUnavailable(f"{path}: {source.reason or 'the service could not play it'}")
    session = await client.get_session(session_id)
    done = Progress("done", session.stream_s - begin_s)
    on_progress(done)
    return done


__all__ = ["play"]
