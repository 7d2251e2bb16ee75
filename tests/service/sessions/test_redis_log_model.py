"""The log against a model: random retries, reorders, thefts, expiries and stale owners."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.errors import NotOwner, SessionEnded
from service.sessions.codec import encode_record
from service.sessions.record import ChunkRecord, SessionId, SessionStatus, Stage
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig
from service.sessions.scripts import keys
from service.sessions.store import Lease
from tests.records import assert_same_record, make_record
from tests.service.sessions.scenes import CONFIG

pytestmark = pytest.mark.redis

T = TypeVar("T")
REPLICAS = st.sampled_from(["a", "b", "c"])
MAX_CHUNKS = 4
MAX_BYTES = 5 * len(encode_record(make_record(0)))
SIZES = st.sampled_from([8, 8, 8, 64, 512])  # hidden sizes: one of the last fills the log


class LogModel(RuleBasedStateMachine):
    """What the scripts promise, in plain Python, beside the store that keeps the promise."""

    url: str

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.store = RedisSessionStore.connect(
            self.url, RedisStoreConfig(max_log_chunks=MAX_CHUNKS, max_log_bytes=MAX_BYTES)
        )
        self.admin = redis.Redis.from_url(self.url)
        self.admin.flushall()
        self.sid = SessionId("model")
        self.run(self.store.create(self.sid, CONFIG, 1.0))
        self.owner: str | None = None
        self.is_expired = False
        self.epoch = 0
        self.leases: list[Lease] = []  # all that were ever given, most of them stale
        self.log: list[ChunkRecord] = []  # all that was ever appended
        self.is_ended = False

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.store.aclose())
            self.admin.close()
            self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def last_index(self) -> int:
        return self.log[-1].index if self.log else -1

    @rule(replica=REPLICAS, steal_from=st.none() | REPLICAS)
    def claim(self, replica: str, steal_from: str | None) -> None:
        work = self.store.claim(
            self.sid, Stage.COMPRESSOR, replica, ttl_s=60.0, steal_from=steal_from
        )
        if self.is_ended:
            with pytest.raises(SessionEnded):
                self.run(work)
            return
        if self.owner not in (None, replica, steal_from) and not self.is_expired:
            with pytest.raises(NotOwner) as raised:
                self.run(work)
            assert raised.value.owner == self.owner
            return
        is_new = self.owner != replica
        self.epoch += is_new
        self.owner, self.is_expired = replica, False
        lease = self.run(work)
        assert (lease.epoch, lease.is_new) == (self.epoch, is_new)
        self.leases.append(lease)

    @precondition(lambda self: self.owner is not None)
    @rule()
    def expire(self) -> None:
        self.admin.hset(keys(self.sid)[0], "compressor.expires_ms", 1)
        self.is_expired = True

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        self.run(self.store.release(lease))
        if self.is_current(lease):
            self.owner = None

    def is_current(self, lease: Lease) -> bool:
        return (lease.owner, lease.epoch) == (self.owner, self.epoch)

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        ahead=st.integers(-3, 3),
        is_confused=st.booleans(),
        hidden_size=SIZES,
        times=st.integers(1, 2),
    )
    def append(
        self, data: st.DataObject, ahead: int, is_confused: bool, hidden_size: int, times: int
    ) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        index = max(0, self.last_index + ahead)
        follows = min(self.last_index, index - 1)
        if is_confused:
            follows = max(-1, follows - 1)
        record = make_record(index, follows=follows, hidden_size=hidden_size)
        for _ in range(times):  # the second time is a retry
            self.append_once(lease, record)

    def append_once(self, lease: Lease, record: ChunkRecord) -> None:
        work = self.store.append_chunk(lease, record)
        if self.is_ended:
            with pytest.raises(SessionEnded):
                self.run(work)
        elif not self.is_current(lease):
            with pytest.raises(NotOwner):
                self.run(work)
        elif record.index <= self.last_index:
            assert self.run(work) is False
        elif record.follows != self.last_index:
            with pytest.raises(ValueError, match="the log ends at"):
                self.run(work)
        else:
            assert self.run(work) is True
            self.log.append(record)

    @precondition(lambda self: len(self.log) > 3)
    @rule()
    def end(self) -> None:
        assert self.run(self.store.end(self.sid, "deleted", 9.0)) is not self.is_ended
        self.is_ended = True

    def kept(self) -> list[ChunkRecord]:
        kept = self.log[-MAX_CHUNKS:]
        while len(kept) > 1 and sum(len(encode_record(record)) for record in kept) > MAX_BYTES:
            kept = kept[1:]
        return kept

    @invariant()
    def log_is_the_models(self) -> None:
        if not hasattr(self, "runner"):
            return
        found, expected = self.run(self.store.chunks(self.sid)), self.kept()
        assert [record.index for record in found] == [record.index for record in expected]
        for got, wanted in zip(found, expected, strict=True):
            assert_same_record(got, wanted)

    @invariant()
    def record_is_the_models(self) -> None:
        if not hasattr(self, "runner"):
            return
        session = self.run(self.store.get(self.sid))
        assert (session.last_index, session.num_chunks) == (self.last_index, len(self.log))
        counts = [record.compressed.counts_kept for record in self.log]
        assert session.counts_kept.video == sum(count.video for count in counts)
        assert session.counts_kept.audio == sum(count.audio for count in counts)
        assert (session.status is SessionStatus.ENDED) is self.is_ended
        owner = None if self.is_expired else self.owner
        assert session.owners.get(Stage.COMPRESSOR) == owner


def test_log_behaves_as_its_model(redis_url: str) -> None:
    class Machine(LogModel):
        url = redis_url

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=40, stateful_step_count=25),
    )
