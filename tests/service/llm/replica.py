"""Replicas of the LLM stage over one store, and what to ask of them."""

import time
from collections.abc import Callable

from service.llm.config import EngineConfig
from service.llm.engine import Finished, Message, Question, Sampling
from service.llm.paged_engine import PagedEngine
from service.llm.worker import LLMWorker
from service.metrics import Metrics
from service.sessions.record import ChunkRecord, SessionId
from service.sessions.redis_store import RedisSessionStore
from tests.service.llm.thinker import Thinker, build_chunk, build_scheduler, greedy

A, B = SessionId("a"), SessionId("b")
CONFIG = EngineConfig(num_pages=200, step_tokens=64, context_tokens=1000)
NUM_TOKENS = 8


class Replica:
    """A worker with its own engine and metrics."""

    def __init__(self, store: RedisSessionStore, name: str, config: EngineConfig) -> None:
        self.engine = PagedEngine(build_scheduler(config, now=time.perf_counter))
        self.metrics = Metrics()
        self.now_s = 1000.0
        self.worker = LLMWorker(
            self.engine,
            store,
            self.metrics,
            replica=name,
            lease_s=30.0,
            clock=lambda: self.now_s,
        )

    async def ask(self, session_id: SessionId, name: str = "q", **how: object) -> Finished:
        items = [item async for item in self.worker.ask(session_id, question(name, **how))]
        assert isinstance(items[-1], Finished)
        return items[-1]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    @property
    def num_rebuilds(self) -> float:
        return self.metric("omnisift_rebuilds_total", stage="llm")


MakeReplica = Callable[..., Replica]


def question(name: str = "q", *, max_tokens: int = NUM_TOKENS) -> Question:
    return Question(name, (Message("user", "what?"),), Sampling(max_tokens=max_tokens))


async def append(worker: LLMWorker, session_id: SessionId, records: list[ChunkRecord]) -> None:
    for record in records:
        await worker.append(session_id, record)


def text_of(thinker: Thinker, *indices: int) -> str:
    chunks = [build_chunk(index, seed=1) for index in indices]
    answer = bytes(greedy(thinker, chunks, "what?", NUM_TOKENS))
    return answer.decode(errors="replace")
