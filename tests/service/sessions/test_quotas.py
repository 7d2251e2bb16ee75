import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import redis

from service.access.limits import KeyLimits
from service.errors import RateLimited, StoreUnavailable
from service.sessions import quota_scripts
from service.sessions.quotas import QUESTION_LEASE_MS, RedisQuotas
from service.sessions.record import Rule, SessionId
from service.sessions.redis_store import RedisSessionStore
from tests.service.sessions.scenes import CONFIG

pytestmark = pytest.mark.redis

LIMITS = KeyLimits(max_sessions=2, questions_per_minute=5, max_questions=3, max_rules=2)


@pytest.fixture
async def connect(redis_url: str) -> AsyncIterator[Callable[[], RedisQuotas]]:
    async with AsyncExitStack() as stack:

        def make() -> RedisQuotas:
            quotas = RedisQuotas.connect(redis_url, LIMITS, session_s=3600.0)
            stack.push_async_callback(quotas.aclose)
            return quotas

        yield make


@pytest.fixture
def quotas(connect: Callable[[], RedisQuotas]) -> RedisQuotas:
    return connect()


async def opened(quotas: RedisQuotas, store: RedisSessionStore, name: str) -> None:
    await quotas.open_session("alice", SessionId(name))
    await store.create(SessionId(name), CONFIG, 1.0, key_id="alice")


def age(admin: redis.Redis) -> None:
    """Make all counted sessions older than those that may not have been written yet."""
    key = quota_scripts.open_key("alice")
    for name in admin.zrange(key, 0, -1):
        admin.zincrby(key, -quota_scripts.YOUNG_MS - 1, name)


async def test_open_sessions_of_a_key_are_limited(
    quotas: RedisQuotas, store: RedisSessionStore, admin: redis.Redis
) -> None:
    await opened(quotas, store, "s1")
    await opened(quotas, store, "s2")
    age(admin)

    with pytest.raises(RateLimited, match="2 open sessions") as caught:
        await quotas.open_session("alice", SessionId("s3"))

    assert caught.value.retry_after_s == 30.0
    await quotas.open_session("bob", SessionId("s4"))
    await quotas.open_session("alice", SessionId("s2"))  # the same call, sent again


async def test_session_that_has_ended_or_expired_makes_room(
    quotas: RedisQuotas, store: RedisSessionStore, admin: redis.Redis
) -> None:
    await opened(quotas, store, "s1")
    await quotas.open_session("alice", SessionId("never-created"))
    age(admin)
    await quotas.open_session("alice", SessionId("s3"))
    age(admin)
    await store.create(SessionId("s3"), CONFIG, 1.0)

    await store.end(SessionId("s1"), "deleted", 2.0)

    await quotas.open_session("alice", SessionId("s4"))


async def test_session_that_ends_at_once_makes_room_at_once(
    quotas: RedisQuotas, store: RedisSessionStore
) -> None:
    await opened(quotas, store, "s1")
    await opened(quotas, store, "s2")
    await store.end(SessionId("s1"), "deleted", 2.0)

    await quotas.open_session("alice", SessionId("s3"))


async def test_session_about_to_be_written_is_not_taken_for_ended(quotas: RedisQuotas) -> None:
    await quotas.open_session("alice", SessionId("s1"))
    await quotas.open_session("alice", SessionId("s2"))

    with pytest.raises(RateLimited):
        await quotas.open_session("alice", SessionId("s3"))


async def test_sessions_opened_at_once_do_not_exceed_the_limit(
    connect: Callable[[], RedisQuotas],
) -> None:
    replicas = [connect(), connect()]
    calls = [
        replicas[number % 2].open_session("alice", SessionId(f"s{number}")) for number in range(12)
    ]

    results = await asyncio.gather(*calls, return_exceptions=True)

    assert results.count(None) == LIMITS.max_sessions
    assert {type(result) for result in results} == {type(None), RateLimited}


async def test_questions_at_the_same_time_are_limited_over_all_replicas(
    connect: Callable[[], RedisQuotas],
) -> None:
    first, second = connect(), connect()
    for number in range(3):
        await first.begin_question("alice", f"q{number}")

    with pytest.raises(RateLimited, match="same time"):
        await second.begin_question("alice", "q3")
    await first.end_question("alice", "q1")
    await second.begin_question("alice", "q3")
    await second.begin_question("bob", "q4")


async def test_questions_a_minute_are_limited_and_the_wait_is_told(
    quotas: RedisQuotas, admin: redis.Redis
) -> None:
    for number in range(5):
        await quotas.begin_question("alice", f"q{number}")
        await quotas.end_question("alice", f"q{number}")

    with pytest.raises(RateLimited, match="5 questions a minute") as caught:
        await quotas.begin_question("alice", "q5")
    assert caught.value.retry_after_s is not None
    assert 50 < caught.value.retry_after_s <= 60

    _, recent = quota_scripts.question_keys("alice")
    admin.zincrby(recent, -quota_scripts.MINUTE_MS, "q0")  # a minute later
    await quotas.begin_question("alice", "q5")


async def test_question_sent_again_counts_once(quotas: RedisQuotas) -> None:
    for _ in range(10):
        await quotas.begin_question("alice", "q1")
    await quotas.begin_question("alice", "q2")
    await quotas.begin_question("alice", "q3")


async def test_question_of_a_dead_replica_is_forgotten_in_time(
    quotas: RedisQuotas, admin: redis.Redis
) -> None:
    for number in range(3):
        await quotas.begin_question("alice", f"q{number}")
    running, _ = quota_scripts.question_keys("alice")
    assert 0 < admin.pttl(running) <= QUESTION_LEASE_MS

    admin.zincrby(running, -QUESTION_LEASE_MS, "q0")

    await quotas.begin_question("alice", "q3")


async def test_what_is_counted_stays_within_the_limits(
    quotas: RedisQuotas, admin: redis.Redis
) -> None:
    for number in range(50):
        try:
            await quotas.begin_question("alice", f"q{number}")
            await quotas.end_question("alice", f"q{number}")
            await quotas.open_session("alice", SessionId(f"s{number}"))
        except RateLimited:
            continue

    running, recent = quota_scripts.question_keys("alice")
    assert admin.zcard(running) == 0
    assert admin.zcard(recent) == LIMITS.questions_per_minute
    assert admin.zcard(quota_scripts.open_key("alice")) == LIMITS.max_sessions


async def test_nobody_without_a_key_is_counted(quotas: RedisQuotas, admin: redis.Redis) -> None:
    for number in range(20):
        await quotas.open_session(None, SessionId(f"s{number}"))
        await quotas.begin_question(None, f"q{number}")
        await quotas.end_question(None, f"q{number}")

    assert admin.keys("*") == []


async def test_without_redis_questions_are_counted_here_and_no_session_is_admitted() -> None:
    quotas = RedisQuotas.connect("redis://127.0.0.1:1/0", LIMITS, session_s=3600.0)

    with pytest.raises(StoreUnavailable):
        await quotas.open_session("alice", SessionId("s1"))
    for number in range(3):
        await quotas.begin_question("alice", f"q{number}")
    with pytest.raises(RateLimited, match="same time"):
        await quotas.begin_question("alice", "q3")
    await quotas.end_question("alice", "q0")
    await quotas.begin_question("alice", "q3")
    await quotas.end_question("alice", "never begun")
    await quotas.aclose()


async def test_closed_session_makes_room_at_once(
    quotas: RedisQuotas, store: RedisSessionStore
) -> None:
    await opened(quotas, store, "s1")
    await opened(quotas, store, "s2")
    await store.erase(SessionId("s1"), key_id="alice")

    await quotas.close_session("alice", SessionId("s1"))

    await quotas.open_session("alice", SessionId("s3"))
    with pytest.raises(RateLimited):
        await quotas.open_session("alice", SessionId("s4"))


async def test_rules_of_a_keys_open_sessions_are_limited(
    quotas: RedisQuotas, store: RedisSessionStore
) -> None:
    for name in ("s1", "s2"):
        await opened(quotas, store, name)
        await quotas.admit_rule("alice")
        await store.add_rule(SessionId(name), Rule(name, "?", 0.5, 0.0, 0.0, 1.0), max_rules=4)

    with pytest.raises(RateLimited, match="2 watch rules"):
        await quotas.admit_rule("alice")
    await quotas.admit_rule("bob")
    await quotas.admit_rule(None)

    await store.end(SessionId("s1"), "deleted", 2.0)
    await quotas.admit_rule("alice")
