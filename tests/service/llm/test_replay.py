"""Which entries of a real log a context is made of again."""

from collections.abc import AsyncIterator

import pytest

from service.llm.context import ContextRules, ContextWindow
from service.llm.policy import Fifo, Policy, Progressive
from service.llm.replay import is_apart, newest_entries, units_of_log
from service.llm.unit import Unit
from service.sessions.record import ChunkRecord, SessionConfig, SessionId
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig
from tests.service.llm.logs import log_chunks
from tests.service.llm.thinker import build_chunk
from tests.service.llm.units import build_rules

A = SessionId("a")
POLICIES = [Fifo(), Fifo(3), Progressive(0.4), Progressive(0.2, (1.0, 0.5))]


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore.connect(redis_url, RedisStoreConfig(max_log_chunks=64))
    yield store
    await store.aclose()


async def newest(
    store: RedisSessionStore,
    rules: ContextRules | None = None,
    *,
    after: int = -1,
    max_tokens: int = 100_000,
) -> list[int]:
    rules = rules or build_rules(max_tokens, max_positions=1_000_000)
    entries = await newest_entries(store, await store.get(A), rules, after=after)
    return [entry.index for entry in entries]


def num_tokens(*indices: int) -> int:
    return sum(len(build_chunk(index, seed=1).embeddings) for index in indices)


def feed(rules: ContextRules, records: list[ChunkRecord]) -> tuple[Unit, ...]:
    window = ContextWindow(rules)
    for record in records:
        window.hold(window.after(rules.unit(record.compressed)))
    return window.units


async def test_empty_log_gives_nothing(store: RedisSessionStore) -> None:
    await store.create(A, SessionConfig("full"), now_s=0.0)

    assert await newest(store) == []


async def test_newest_entries_fill_the_budget(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(40))

    assert await newest(store, max_tokens=num_tokens(37, 38, 39)) == [37, 38, 39]
    assert await newest(store, max_tokens=num_tokens(37, 38, 39) - 1) == [38, 39]
    assert await newest(store) == list(range(40))


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("num_chunks", [3, 12, 60])
async def test_entries_leave_the_context_that_all_of_them_leave(
    store: RedisSessionStore, policy: Policy, num_chunks: int
) -> None:
    rules = build_rules(250, policy=policy)
    records = await log_chunks(store, A, *range(num_chunks))

    entries = await newest_entries(store, await store.get(A), rules, after=-1)

    assert feed(rules, list(entries)) == feed(rules, records)
    assert len(entries) <= 24


async def test_sinks_are_read_from_the_start(store: RedisSessionStore) -> None:
    await log_chunks(store, A, 0, 2, *range(5, 40))
    rules = build_rules(4 * num_tokens(0), policy=Fifo(3))

    assert (await newest(store, rules))[:2] == [0, 2]
    assert await newest(store, rules, after=37) == [38, 39]


async def test_sinks_that_left_the_log_are_not_replaced(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(80))

    assert min(await newest(store, build_rules(200, policy=Fifo(3)))) > 70


async def test_nothing_beyond_the_horizon_is_read(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(60))
    rules = build_rules(100_000, max_positions=800)  # holds 11 units

    assert await newest(store, rules) == list(range(49, 60))


async def test_muted_stream_is_read_as_far_as_its_video_reaches(store: RedisSessionStore) -> None:
    records = await log_chunks(store, A, *range(40), num_audio=0)
    rules = build_rules(60, max_positions=32_768, policy=Progressive(0.5))

    entries = await newest_entries(store, await store.get(A), rules, after=-1)

    assert feed(rules, list(entries)) == feed(rules, records)
    assert len(entries) < 12


async def test_only_what_is_missing_is_given(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(10))

    assert await newest(store, after=6) == [7, 8, 9]
    assert await newest(store, after=9) == []


async def test_missing_numbers_do_not_shorten_what_is_read(store: RedisSessionStore) -> None:
    indices = [*range(20), 500, 1000, 1001]
    await log_chunks(store, A, *indices)

    assert await newest(store, max_tokens=num_tokens(*indices[-8:])) == indices[-8:]


async def test_entries_that_left_the_log_are_not_waited_for(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(80))

    assert await newest(store) == list(range(16, 80))


async def test_entries_that_are_too_large_are_named_but_not_counted(
    store: RedisSessionStore,
) -> None:
    sizes = {index: num_tokens(index) for index in range(8)}
    limit = max(sizes.values()) - 1
    [*_, last] = [index for index in sizes if sizes[index] <= limit]
    await log_chunks(store, A, *sizes)

    found = await newest(store, max_tokens=limit)

    assert last in found
    assert (
        feed(build_rules(limit), [r for r in await store.chunks(A) if sizes[r.index] <= limit])[
            -1
        ].index
        == last
    )


async def test_hole_between_context_and_entries_is_seen(store: RedisSessionStore) -> None:
    records = await log_chunks(store, A, *range(5))

    assert not is_apart(records[3:], after=2)
    assert is_apart(records[3:], after=1)
    assert not is_apart(records, after=-1)
    assert not is_apart([], after=4)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
async def test_what_will_be_held_is_known_without_holding_it(
    store: RedisSessionStore, policy: Policy
) -> None:
    rules = build_rules(250, policy=policy)
    records = await log_chunks(store, A, *range(20))

    assert await units_of_log(store, A, rules) == feed(rules, records)


async def test_ended_session_holds_nothing(store: RedisSessionStore) -> None:
    await log_chunks(store, A, *range(3))
    await store.end(A, "deleted", 9.0)

    assert await units_of_log(store, A, build_rules()) == ()
