"""Sessions with chunks in a real store."""

from service.sessions.record import ChunkRecord, SessionConfig, SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.thinker import build_chunk


async def log_chunks(
    store: RedisSessionStore,
    session_id: SessionId,
    *indices: int,
    seed: int = 1,
    num_audio: int = 50,
) -> list[ChunkRecord]:
    """Append chunks to a session's log, as the compressor does; makes the session if need be."""
    if session_id not in [session.id for session in await store.list()]:
        await store.create(session_id, SessionConfig("full"), now_s=0.0)
    lease = await store.claim(session_id, Stage.COMPRESSOR, "compressor", ttl_s=60.0)
    follows = (await store.get(session_id)).last_index
    records = []
    for index in indices:
        record = ChunkRecord(index, follows, build_chunk(index, seed=seed, num_audio=num_audio))
        # False also where it had to be called again, since the first reply came too late
        await store.append_chunk(lease, record)
        records.append(record)
        follows = index
    assert (await store.get(session_id)).last_index == follows
    return records
