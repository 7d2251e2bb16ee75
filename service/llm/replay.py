"""Which log entries a context is made of again. Knows nothing about engines."""

from collections.abc import Sequence
from math import ceil

from service.llm.context import num_fitting
from service.sessions.record import ChunkRecord, Session
from service.sessions.store import SessionStore

READ_AHEAD_RATIO = 1.25  # entries vary in size: read this much more than the mean suggests
MIN_READ_CHUNKS = 8


async def newest_entries(
    store: SessionStore, session: Session, *, after: int, max_tokens: int
) -> Sequence[ChunkRecord]:
    """Read the newest entries of a session's log that fit a budget together.

    Reads from the end: a log may hold many times what fits.

    Args:
        store: Holds the log.
        session: Read from the store just before.
        after: Only entries with a higher index.
        max_tokens: The budget.

    Returns:
        Entries in order; none is missing between them and the end of the log.
    """
    mean_tokens = session.counts_kept.total / max(session.num_chunks, 1)
    num_back = ceil(READ_AHEAD_RATIO * max_tokens / max(mean_tokens, 1.0)) + MIN_READ_CHUNKS
    while True:
        start = max(session.last_index - num_back, after)
        entries = await store.chunks(session.id, after=start)
        sizes = [len(entry.compressed.embeddings) for entry in entries]
        num_entries = num_fitting(sizes, max_tokens)
        if num_entries < len(entries) or start == after:
            return entries[len(entries) - num_entries :]
        num_back *= 2
