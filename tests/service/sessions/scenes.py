"""Where many store tests start from: one session, owned, with chunks in its log."""

from service.sessions.record import SessionConfig, SessionId, Stage, Turn
from service.sessions.store import Lease, SessionStore
from tests.records import make_record

SID = SessionId("s1")
CONFIG = SessionConfig("live", 0.5, None, "Be brief.", {"place": "café"})
TURN = Turn("q1", "What?", "A cat.", 10.0, 4.0, "stop", 0.1, 0.5, 30, 3)


async def own(store: SessionStore, replica: str = "a", **options: str) -> Lease:
    return await store.claim(SID, Stage.COMPRESSOR, replica, ttl_s=60.0, **options)


async def log_chunks(store: SessionStore, count: int) -> Lease:
    await store.create(SID, CONFIG, 1.0)
    lease = await own(store)
    for index in range(count):
        assert await store.append_chunk(lease, make_record(index))
    return lease
