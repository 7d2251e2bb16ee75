"""The engine behind asyncio, from a checkpoint: many callers, cancellation, failure, metrics."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compressor.omni.checkpoint import load_text_model
from compressor.omni.tiny import write_tiny_checkpoint
from service.errors import (
    AtCapacity,
    BadRequest,
    EngineUnavailable,
    MomentNotHeld,
    SessionNotFound,
)
from service.llm.config import EngineConfig
from service.llm.engine import Finished, LLMEngine, Message, Question, Sampling, TokenDelta
from service.llm.paged_engine import PagedEngine
from service.metrics import Metrics
from service.sessions.record import SessionId
from tests.service.llm.thinker import (
    GEOMETRY,
    Thinker,
    build_chunk,
    build_scheduler,
    build_thinker,
    greedy,
)

A, B = SessionId("a"), SessionId("b")
CONFIG = EngineConfig(num_pages=200, step_tokens=64, context_tokens=1000)


@pytest.fixture
async def engine() -> AsyncIterator[PagedEngine]:
    engine = PagedEngine(build_scheduler(CONFIG, now=time.perf_counter))
    yield engine
    await engine.aclose()


async def open_with_chunks(engine: PagedEngine, session_id: SessionId, seed: int) -> None:
    await engine.open(session_id, None)
    for index in range(3):
        await engine.append(session_id, build_chunk(index, seed=seed))


def question(name: str = "what?", *, max_tokens: int = 12) -> Question:
    return Question(name, (Message("user", "what?"),), Sampling(max_tokens=max_tokens))


async def answer(
    engine: LLMEngine, session_id: SessionId, question: Question
) -> tuple[list[int], Finished]:
    items = [item async for item in engine.ask(session_id, question)]
    deltas = [item for item in items[:-1] if isinstance(item, TokenDelta)]
    end = items[-1]
    assert isinstance(end, Finished)
    assert "".join(delta.text for delta in deltas) == end.text
    assert len(deltas) == len(items) - 1
    return [delta.token_id for delta in deltas], end


def expected(thinker: Thinker, seed: int, num_tokens: int = 12) -> list[int]:
    chunks = [build_chunk(index, seed=seed) for index in range(3)]
    return greedy(thinker, chunks, "what?", num_tokens)


async def test_many_callers_at_once_each_get_their_own(
    engine: PagedEngine, thinker: Thinker
) -> None:
    await asyncio.gather(open_with_chunks(engine, A, 1), open_with_chunks(engine, B, 2))

    answers = await asyncio.gather(
        *(answer(engine, [A, B][n % 2], question(str(n))) for n in range(10))
    )

    for number, (tokens, end) in enumerate(answers):
        assert tokens == expected(thinker, seed=1 + number % 2)
        assert end.context_end_s == 6.0
        assert end.ttft_s is not None
        assert 0 < end.ttft_s <= end.duration_s


async def test_appended_chunk_is_in_context_on_return(engine: PagedEngine) -> None:
    await engine.open(A, None)

    await engine.append(A, build_chunk(4))

    assert engine.held(A) == [4]
    assert engine.held(B) == []


async def test_closing_the_iterator_frees_the_question(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, 1)
    used = engine.stats().pages_used

    items = engine.ask(A, question(max_tokens=300))
    await anext(items)
    await items.aclose()
    await engine.abort("nobody")  # comes after what closing has caused

    assert (engine.stats().running, engine.stats().pages_used) == (0, used)


async def test_cancelled_task_frees_the_question(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, 1)
    used = engine.stats().pages_used
    has_begun = asyncio.Event()

    async def read() -> None:
        async for _ in engine.ask(A, question(max_tokens=2000)):
            has_begun.set()

    task = asyncio.create_task(read())
    await has_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.abort("nobody")  # comes after what cancelling has caused

    assert engine.stats().pages_used == used


async def test_reader_that_stalls_delays_nobody(engine: PagedEngine, thinker: Thinker) -> None:
    await asyncio.gather(open_with_chunks(engine, A, 1), open_with_chunks(engine, B, 2))
    stalled = engine.ask(A, question("stalled"))
    first = await anext(stalled)

    tokens, _ = await answer(engine, B, question("of b"))
    await engine.append(A, build_chunk(3, seed=1))

    assert tokens == expected(thinker, seed=2)
    assert isinstance(first, TokenDelta)
    rest = [item.token_id async for item in stalled if isinstance(item, TokenDelta)]
    assert [first.token_id, *rest] == expected(thinker, seed=1)


async def test_aborted_question_ends_as_cancelled(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, 1)
    items = engine.ask(A, question("q", max_tokens=2000))
    await anext(items)

    await engine.abort("q")

    rest = [item async for item in items]
    assert isinstance(rest[-1], Finished)
    assert rest[-1].reason == "cancelled"


async def test_closing_a_session_ends_its_questions_only(engine: PagedEngine) -> None:
    await asyncio.gather(open_with_chunks(engine, A, 1), open_with_chunks(engine, B, 2))
    of_a = engine.ask(A, question("of a", max_tokens=2000))
    of_b = engine.ask(B, question("of b", max_tokens=30))
    await anext(of_a)
    await anext(of_b)

    await engine.close(A)
    await engine.close(A)

    ends = [[item async for item in items][-1] for items in (of_a, of_b)]
    assert [end.reason for end in ends if isinstance(end, Finished)] == ["cancelled", "length"]
    with pytest.raises(SessionNotFound):
        await engine.append(A, build_chunk(5))
    assert engine.stats().sessions == 1


async def test_refused_question_raises_and_leaves_its_namesake_alone(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, 1)
    first = engine.ask(A, question("q", max_tokens=30))
    await anext(first)

    with pytest.raises(BadRequest, match="is being answered"):
        await answer(engine, A, question("q"))

    rest = [item async for item in first]
    assert isinstance(rest[-1], Finished)
    assert rest[-1].reason == "length"


async def test_refused_chunk_raises_and_the_session_goes_on(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, 1)

    with pytest.raises(BadRequest, match="comes after"):
        await engine.append(A, build_chunk(1))

    await engine.append(A, build_chunk(3))
    assert engine.held(A) == [0, 1, 2, 3]


async def test_too_many_questions_are_refused(thinker: Thinker) -> None:
    config = EngineConfig(num_pages=200, context_tokens=400, max_questions=2)
    engine = PagedEngine(build_scheduler(config))
    await open_with_chunks(engine, A, 1)

    results = await asyncio.gather(
        *(answer(engine, A, question(str(number))) for number in range(5)), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, AtCapacity)]
    answers = [result[0] for result in results if isinstance(result, tuple)]
    assert (len(refused), len(answers)) == (3, 2)
    assert all(tokens == expected(thinker, seed=1) for tokens in answers)
    await engine.aclose()


async def test_caller_that_leaves_does_not_stop_its_chunk(engine: PagedEngine) -> None:
    await engine.open(A, None)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await engine.append(A, build_chunk(0))

    await engine.append(A, build_chunk(1))
    assert engine.held(A) in ([0, 1], [1])  # it may have left before anything was queued


async def test_stopped_engine_fails_what_waits_and_what_comes(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, 1)
    items = engine.ask(A, question(max_tokens=3000))
    await anext(items)

    await engine.aclose()

    with pytest.raises(EngineUnavailable, match="stopped"):
        [item async for item in items]
    for call in (engine.open(B, None), engine.append(A, build_chunk(5)), engine.close(A)):
        with pytest.raises(EngineUnavailable, match="stopped"):
            await call
    with pytest.raises(EngineUnavailable, match="stopped"):
        await answer(engine, A, question())
    with pytest.raises(EngineUnavailable):
        engine.check_health()


async def test_bug_in_the_engine_is_told_to_everyone(caplog: pytest.LogCaptureFixture) -> None:
    broken = build_thinker()

    def fail(*_: object) -> None:
        raise AssertionError("a bug")

    broken.model.norm.register_forward_pre_hook(fail)
    engine = PagedEngine(build_scheduler(CONFIG, thinker=broken))
    engine.check_health()

    with pytest.raises(EngineUnavailable, match="failed"):
        await open_with_chunks(engine, A, 1)

    with pytest.raises(EngineUnavailable):
        engine.check_health()
    assert "a bug" in caplog.text
    await engine.aclose()


async def test_metrics_follow_the_engine() -> None:
    metrics = Metrics()
    engine = PagedEngine(build_scheduler(CONFIG), metrics)
    await open_with_chunks(engine, A, 1)
    await answer(engine, A, question(max_tokens=5))
    await engine.aclose()

    def value(name: str, **labels: str) -> float:
        sample = metrics.registry.get_sample_value(name, labels)
        assert sample is not None
        return sample

    steps = value("omnisift_engine_steps_total")
    assert steps == engine.stats().steps >= 8
    assert value("omnisift_engine_step_seconds_count") == steps
    used, free = (value("omnisift_kv_pages", state=state) for state in ("used", "free"))
    assert used == engine.stats().pages_used > 0
    assert used + free == 200
    assert value("omnisift_engine_tokens_total", kind="decode") == 4
    assert value("omnisift_engine_tokens_total", kind="chunk") == engine.stats().chunk_tokens > 0
    assert value("omnisift_engine_questions", state="running") == 0


async def test_checkpoint_gives_the_stock_models_answers(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny", geometry=GEOMETRY)
    engine = PagedEngine.from_checkpoint(folder, CONFIG)
    engine.warm_up()
    assert engine.stats().pages_used == 0
    await open_with_chunks(engine, A, 1)

    tokens, _ = await answer(engine, A, question())

    stock = Thinker(*load_text_model(folder))
    assert tokens == expected(stock, seed=1)
    await engine.aclose()


async def test_half_precision_checkpoint_answers(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny", geometry=GEOMETRY)
    engine = PagedEngine.from_checkpoint(folder, CONFIG, torch.bfloat16)
    await open_with_chunks(engine, A, 1)

    tokens, end = await answer(engine, A, question())

    assert len(tokens) == 12
    assert end.reason == "length"
    await engine.aclose()


async def test_int8_weights_answer_as_the_stock_model_with_them(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny", geometry=GEOMETRY)
    engine = PagedEngine.from_checkpoint(folder, replace(CONFIG, int8_weights=True))
    await open_with_chunks(engine, A, 1)

    tokens, _ = await answer(engine, A, question())

    assert tokens == expected(Thinker(*load_text_model(folder, int8_weights=True)), seed=1)
    await engine.aclose()


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PagedEngine.from_checkpoint(tmp_path / "nowhere", CONFIG)


async def test_moment_in_the_past_is_answered_as_it_was_then(
    engine: PagedEngine, thinker: Thinker
) -> None:
    await open_with_chunks(engine, A, seed=1)
    then = [build_chunk(index, seed=1) for index in range(2)]

    tokens, end = await answer(engine, A, replace(question(), at_s=4.0))

    assert tokens == greedy(thinker, then, "what?", 12)
    assert (end.context_end_s, end.spans) == (4.0, ((0.0, 4.0),))


async def test_moment_to_come_is_refused_and_others_go_on(engine: PagedEngine) -> None:
    await open_with_chunks(engine, A, seed=1)

    with pytest.raises(MomentNotHeld):
        await answer(engine, A, replace(question("early"), at_s=60.0))

    _, end = await answer(engine, A, question())
    assert end.spans == ((0.0, 6.0),)
