"""Which log entries a context is made of again. Knows nothing about engines."""

from collections.abc import Sequence
from math import ceil

from service.llm.context import ContextRules
from service.llm.unit import Unit
from service.sessions.record import ChunkRecord, Session, SessionId, SessionStatus
from service.sessions.store import SessionStore

READ_AHEAD_RATIO = 1.25  # entries vary in size: read this much more than the mean suggests
MIN_READ_CHUNKS = 8


async def newest_entries(
    store: SessionStore, session: Session, rules: ContextRules, *, after: int
) -> Sequence[ChunkRecord]:
    """Read the entries of a session's log of which a context holds something.

    Reads back from the end, only as far as the rules reach: a log may hold many times what fits.
    The first entries are read besides where the rules keep them for good.

    Args:
        store: Holds the log.
        session: Read from the store just before.
        rules: What bounds the context.
        after: Only entries with a higher index.

    Returns:
        Entries in order. Applied one by one, they leave the context that all entries would leave;
        the log may have lost the oldest ones.
    """
    tail = await _tail(store, session, rules, after=after)
    num_sinks = rules.policy.num_sinks
    if tail and after + 1 < num_sinks:
        sinks = await store.chunks(session.id, after=after, limit=num_sinks)
        tail = [e for e in sinks if e.index < min(num_sinks, tail[0].index)] + tail
    admitted = [entry for entry in tail if rules.admits(rules.unit(entry.compressed))]
    held = rules.held([rules.unit(entry.compressed) for entry in admitted])
    indices = {unit.index for unit in held}
    # the newest one has been seen, whatever is left of it; one that is refused has to be named
    first = min((i for i in indices if not rules.is_sink(i)), default=session.last_index)
    return [entry for entry in tail if entry.index in indices or entry.index >= first]


async def units_of_log(
    store: SessionStore, session_id: SessionId, rules: ContextRules
) -> tuple[Unit, ...]:
    """Say what a context would hold of a session's log, oldest first; nothing once it has ended.

    Raises:
        SessionNotFound: No such session.
        StoreUnavailable: Redis cannot be reached.
    """
    session = await store.get(session_id)
    if session.status is SessionStatus.ENDED:
        return ()
    entries = await newest_entries(store, session, rules, after=-1)
    units = [rules.unit(entry.compressed) for entry in entries]
    return tuple(rules.held([unit for unit in units if rules.admits(unit)]))


def is_apart(entries: Sequence[ChunkRecord], after: int) -> bool:
    """Whether the log has, or had, entries between `after` and these that are not among them."""
    return bool(entries) and entries[0].follows > after


async def _tail(
    store: SessionStore, session: Session, rules: ContextRules, *, after: int
) -> list[ChunkRecord]:
    """Read back from the end until older entries could not add anything."""
    mean_tokens = session.counts_kept.total / max(session.num_chunks, 1)
    num_back = ceil(READ_AHEAD_RATIO * rules.max_tokens / max(mean_tokens, 1.0)) + MIN_READ_CHUNKS
    tail: list[ChunkRecord] = []
    stop = session.last_index
    while stop > after:
        units = [rules.unit(entry.compressed) for entry in tail]
        if rules.is_full([unit for unit in units if rules.admits(unit)], before=stop + 1):
            break
        start = max(stop - num_back, after)
        page = await store.chunks(session.id, after=start, limit=stop - start)
        tail = [entry for entry in page if entry.index <= stop] + tail
        stop = start
        num_back *= 2  # numbers may be missing for long
    return tail
