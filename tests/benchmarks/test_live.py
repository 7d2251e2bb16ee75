import pytest

from benchmarks.chunks import ChunkShape
from benchmarks.live import LiveBench
from service.llm.config import EngineConfig
from service.llm.policy import Fifo
from service.sessions.record import SessionId
from tests.benchmarks.small import SMALL

SHAPE = ChunkShape(4)


@pytest.fixture
async def bench() -> LiveBench:
    config = EngineConfig(num_pages=300, context_tokens=4 * SHAPE.num_tokens, policy=Fifo())
    return LiveBench(SMALL, SMALL.text_model(), SHAPE, config)


async def test_streams_grow_to_the_budget_and_are_asked_in_turn(bench: LiveBench) -> None:
    await bench.stream("a", 0, 3)
    await bench.stream("a", 3, 6)
    await bench.stream("b", 0, 1)

    times_s = await bench.ttfts_s(["a", "b"], 3)

    assert bench.engine.held(SessionId("a")) == [2, 3, 4, 5]
    assert [len(times_s[name]) for name in "ab"] == [3, 3]
    assert min(times_s["a"] + times_s["b"]) > 0
    await bench.engine.aclose()


async def test_answers_at_once_are_as_long_as_asked_for(bench: LiveBench) -> None:
    await bench.stream("a", 0, 2)
    before = bench.engine.stats().decode_tokens

    assert await bench.decode_tokens_per_s(["a"] * 4, 6) > 0

    assert bench.engine.stats().decode_tokens - before == 4 * 5
    await bench.engine.aclose()


def test_bytes_and_weights_are_those_of_the_model(bench: LiveBench) -> None:
    model, head = SMALL.text_model()

    assert bench.kv_token_bytes == 2 * 2 * 1 * 16 * 4  # keys, values; layers, heads, width, float32
    assert bench.layer_weights == sum(weight.numel() for weight in model.layers.parameters())
    assert bench.weight_bytes == 4 * (bench.layer_weights + head.weight.numel())
