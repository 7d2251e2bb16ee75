"""Watch rules over a real engine and a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from service.llm.config import EngineConfig
from service.llm.engine import Finished, Message, Question, Sampling
from service.llm.jobs import QuestionOutcome
from service.llm.paged_engine import PagedEngine
from service.llm.watch import RuleWatch, match_data, yes_no_question
from service.llm.worker import LLMWorker
from service.metrics import Metrics
from service.sessions.record import ChunkRecord, Rule, RuleState, SessionConfig, SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from tests.eventually import eventually
from tests.records import make_record
from tests.service.llm.thinker import build_chunk, build_scheduler

A = SessionId("a")
CONFIG = EngineConfig(num_pages=200, step_tokens=64, context_tokens=1000)


def make_rule(rule_id: str = "r1", *, threshold: float = 1e-6, **fields: object) -> Rule:
    """A rule; with so low a threshold it fires whatever an untrained model says."""
    return Rule(rule_id, "Is it raining?", threshold, 0.0, 0.0, 1.0, **fields)  # type: ignore[arg-type]  # any field


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_url)
    await store.create(A, SessionConfig("full"), now_s=0.0)
    yield store
    await store.aclose()


@pytest.fixture
async def engine() -> AsyncIterator[PagedEngine]:
    engine = PagedEngine(build_scheduler(CONFIG, now=time.perf_counter))
    yield engine
    await engine.aclose()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def worker(
    engine: PagedEngine, store: RedisSessionStore, metrics: Metrics
) -> AsyncIterator[LLMWorker]:
    worker = make_worker(engine, store, metrics, "r")
    yield worker
    await worker.aclose()


@pytest.fixture
async def successor(store: RedisSessionStore, metrics: Metrics) -> AsyncIterator[LLMWorker]:
    """A replica that takes the session over, and knows nothing but what is in Redis."""
    engine = PagedEngine(build_scheduler(CONFIG, now=time.perf_counter))
    worker = make_worker(engine, store, metrics, "r2")
    yield worker
    await worker.aclose()
    await engine.aclose()


def make_worker(
    engine: PagedEngine, store: RedisSessionStore, metrics: Metrics, replica: str
) -> LLMWorker:
    watch = RuleWatch(engine, store, metrics, time.time, outbox=None)
    return LLMWorker(engine, store, metrics, replica=replica, watch=watch)


def make_chunk(index: int) -> ChunkRecord:
    return ChunkRecord(index, index - 1, build_chunk(index, seed=1))


async def append(worker: LLMWorker, *indices: int) -> None:
    for index in indices:
        await worker.append(A, make_chunk(index))


def count(metrics: Metrics, outcome: str) -> float:
    name, labels = "omnisift_rule_evaluations_total", {"outcome": outcome}
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def matches(store: RedisSessionStore) -> list[dict[str, object]]:
    events = await store.events(A, after=None, block_s=0.0)
    return [dict(event.data) for _, event in events if event.type == "rule.matched"]


async def test_rule_that_holds_is_told_with_evidence(
    worker: LLMWorker, store: RedisSessionStore, metrics: Metrics
) -> None:
    await store.add_rule(A, make_rule(), max_rules=4)

    await append(worker, 0)
    await eventually(lambda: count(metrics, "matched") == 1)

    (match,) = await matches(store)
    assert (match["rule_id"], match["condition"]) == ("r1", "Is it raining?")
    assert (match["start_s"], match["end_s"], match["index"]) == (0.0, 2.0, 0)
    assert 0 < float(str(match["probability"])) < 1
    assert metrics.registry.get_sample_value("omnisift_rule_tokens_total") > 0  # type: ignore[operator]  # counted by now


async def test_rule_that_does_not_hold_is_silent(
    worker: LLMWorker, store: RedisSessionStore, metrics: Metrics
) -> None:
    await store.add_rule(A, make_rule(threshold=1 - 1e-9), max_rules=4)

    await append(worker, 0)
    await eventually(lambda: count(metrics, "silent") == 1)

    assert await matches(store) == []


async def test_rules_are_asked_in_one_forward(
    engine: PagedEngine, worker: LLMWorker, store: RedisSessionStore, metrics: Metrics
) -> None:
    await append(worker, 0)
    await eventually(lambda: not engine.stats().running)
    await store.add_rule(A, make_rule("r1"), max_rules=4)
    await store.add_rule(A, make_rule("r2"), max_rules=4)
    before = engine.stats().steps
    await append(worker, 1)
    await eventually(lambda: count(metrics, "matched") == 2)

    # one for the chunk, one for both rules, and one more where the second came a moment later
    assert engine.stats().steps - before <= 3


async def test_rule_that_goes_on_fires_no_second_time_where_the_session_moves(
    worker: LLMWorker, successor: LLMWorker, store: RedisSessionStore, metrics: Metrics
) -> None:
    lease = await store.claim(A, Stage.COMPRESSOR, "c", ttl_s=60.0)
    await store.add_rule(A, make_rule(), max_rules=4)
    await store.append_chunk(lease, make_chunk(0))
    await append(worker, 0)
    await eventually(lambda: count(metrics, "matched") == 1)

    await store.append_chunk(lease, make_chunk(1))
    await successor.append(A, make_chunk(1), steal_from="r")
    await eventually(lambda: count(metrics, "silent") == 1)

    assert [match["index"] for match in await matches(store)] == [0]
    assert await asked(store) == 1


async def test_chunk_is_judged_once_by_two_replicas_at_the_same_time(
    store: RedisSessionStore, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add_rule(A, make_rule(), max_rules=4)
    read, both = store.watched, asyncio.Barrier(2)

    async def read_together(session_id: SessionId) -> Sequence[tuple[Rule, RuleState]]:
        found = await read(session_id)
        await both.wait()  # neither settles before the other has read
        return found

    async with AsyncExitStack() as stack:
        watches = []
        for _ in range(2):
            engine = PagedEngine(build_scheduler(CONFIG, now=time.perf_counter))
            stack.push_async_callback(engine.aclose)
            await engine.open(A, None)
            await engine.append(A, build_chunk(0, seed=1))
            watches.append(RuleWatch(engine, store, metrics, time.time, outbox=None))
            stack.push_async_callback(watches[-1].aclose)
        with monkeypatch.context() as patch:
            patch.setattr(store, "watched", read_together)
            for watch in watches:
                watch.see(A, make_chunk(0))
            await eventually(lambda: count(metrics, "matched") + count(metrics, "late") == 2)
        # a third comes when all is over: it does not even ask
        watches[0].see(A, make_chunk(0))
        await eventually(lambda: not watches[0].num_visits)

    assert (count(metrics, "matched"), count(metrics, "late")) == (1, 1)
    assert len(await matches(store)) == 1


async def asked(store: RedisSessionStore) -> int:
    """The chunk by which the rule was judged last."""
    ((_, state),) = await store.watched(A)
    return state.index


async def drain(engine: PagedEngine, question: Question) -> Finished:
    items = [item async for item in engine.ask(A, question)]
    assert isinstance(items[-1], Finished)
    return items[-1]


async def test_poll_gives_probabilities_and_no_text(
    engine: PagedEngine, worker: LLMWorker, store: RedisSessionStore
) -> None:
    await append(worker, 0, 1, 2)

    end = await drain(engine, yes_no_question(make_rule(), window_s=4.0))

    assert sum(end.choices) == pytest.approx(1.0)
    assert (end.text, end.completion_tokens, end.spans) == ("", 0, ((2.0, 6.0),))
    assert 0 < end.tail_tokens < end.prompt_tokens
    assert engine.stats().running == 0


async def test_polls_take_no_place_from_questions(store: RedisSessionStore) -> None:
    scheduler = build_scheduler(EngineConfig(num_pages=200, step_tokens=64, max_questions=1))
    scheduler.open(A, None)
    scheduler.append(A, build_chunk(0))
    while scheduler.has_work:
        scheduler.step()

    scheduler.ask(A, yes_no_question(make_rule(), window_s=4.0))
    scheduler.ask(A, Question("q", (Message("user", "what?"),), Sampling(max_tokens=2)))
    while scheduler.has_work:
        scheduler.step()

    scheduler.check_integrity()


def test_poll_gives_way_to_a_question_that_came_later() -> None:
    scheduler = build_scheduler(EngineConfig(num_pages=200, step_tokens=64))
    scheduler.open(A, None)
    scheduler.append(A, build_chunk(0))
    while scheduler.has_work:
        scheduler.step()

    scheduler.ask(A, yes_no_question(make_rule(), window_s=4.0))
    long = Message("user", "what is seen, " * 20)
    scheduler.ask(A, Question("q", (long,), Sampling(max_tokens=1)))
    outcomes = []
    while scheduler.has_work:
        outcomes += scheduler.step()

    # its tail takes several whole forwards, and the poll would have fitted into the first
    asked = [outcome.question_id for outcome in outcomes if isinstance(outcome, QuestionOutcome)]
    assert asked[0] == "q"
    assert asked[-1].startswith("rule-")


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ("Did you hear a beep?", "Did you hear a beep?"),
        ("a dog barks", "Is this so: a dog barks? Answer yes or no."),
    ],
)
def test_condition_becomes_a_question(condition: str, asked: str) -> None:
    rule = Rule("r", condition, 0.5, 0.0, 0.0, 0.0)

    assert yes_no_question(rule, window_s=4.0).messages[0].content == asked


def test_match_without_picture_has_no_thumbnail() -> None:
    end = Finished("", "stop", 9, 0, 0.0, 6.0, 0.1, 0.1, ((2.0, 6.0),), (0.75, 0.25))

    data = match_data(A, make_rule(), make_record(2), end)

    assert (data["thumbnail"], data["start_s"], data["end_s"]) == (None, 2.0, 6.0)
    assert data["probability"] == 0.75
