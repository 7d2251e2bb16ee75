import asyncio
from dataclasses import replace

import pytest
import redis

from service.errors import BadRequest, SessionEnded, SessionNotFound, StoreUnavailable
from service.events import Event
from service.sessions.record import Rule, RuleState, SessionId, SessionStatus, Stage
from service.sessions.redis_client import RedisClientConfig
from service.sessions.redis_store import RedisSessionStore
from service.sessions.scripts import INDEX_KEY, keys
from service.sessions.store import Lease, Verdict
from tests.records import make_record
from tests.service.sessions.conftest import MakeStore
from tests.service.sessions.scenes import CONFIG, SID, TURN, log_chunks, own

RULE = Rule("r1", "Is it raining?", 0.5, 30.0, 2.0, 1.0, "https://example.com", "whsec_x")

pytestmark = pytest.mark.redis


async def test_created_session_reads_back_as_made(store: RedisSessionStore) -> None:
    made = await store.create(SID, CONFIG, 1234.5678901234)

    assert await store.get(SID) == made
    assert made.config == CONFIG
    assert made.status is SessionStatus.CREATED


async def test_second_session_of_an_id_is_refused(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    with pytest.raises(ValueError, match="s1"):
        await store.create(SID, CONFIG, 1.0)


async def test_unknown_session_is_not_found_by_any_method(store: RedisSessionStore) -> None:
    lease = Lease(SID, Stage.COMPRESSOR, "a", 1, is_new=True)
    for call in (
        store.get(SID),
        store.start(SID, 1.0),
        store.set_status(SID, SessionStatus.CONNECTING),
        store.end(SID, "deleted", 1.0),
        own(store),
        store.release(lease),
        store.append_chunk(lease, make_record(0)),
        store.chunks(SID),
        store.chunk(SID, 0),
        store.set_lag(SID, 1.0),
        store.add_turn(SID, TURN),
        store.turns(SID),
        store.publish(Event("chunk", SID, 1.0)),
        store.events(SID, after=None, block_s=0.0),
    ):
        with pytest.raises(SessionNotFound):
            await call


async def test_stream_time_zero_is_fixed_once(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    assert await store.start(SID, 7.25) == 7.25
    assert await store.start(SID, 9.0) == 7.25
    assert (await store.get(SID)).started_at_s == 7.25


async def test_end_is_told_once_and_the_record_stays(store: RedisSessionStore) -> None:
    await log_chunks(store, 2)

    assert await store.end(SID, "deleted", 50.0) is True
    assert await store.end(SID, "no_media", 60.0) is False

    session = await store.get(SID)
    assert (session.status, session.end_reason, session.ended_at_s) == (
        SessionStatus.ENDED,
        "deleted",
        50.0,
    )
    assert len(await store.chunks(SID)) == 2


async def test_ended_session_takes_no_more_media(store: RedisSessionStore) -> None:
    lease = await log_chunks(store, 1)
    await store.end(SID, "deleted", 50.0)

    for call in (
        store.start(SID, 1.0),
        store.set_status(SID, SessionStatus.LIVE),
        own(store),
        store.append_chunk(lease, make_record(1)),
    ):
        with pytest.raises(SessionEnded, match="deleted"):
            await call


async def test_status_moves_only_along_the_state_machine(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    with pytest.raises(ValueError, match="from created to live"):
        await store.set_status(SID, SessionStatus.LIVE)
    with pytest.raises(ValueError, match="reason"):
        await store.set_status(SID, SessionStatus.ENDED)
    await store.set_status(SID, SessionStatus.CONNECTING)
    await store.set_status(SID, SessionStatus.LIVE)

    assert (await store.get(SID)).status is SessionStatus.LIVE


async def test_list_is_newest_first_and_limited(store: RedisSessionStore) -> None:
    for number in range(5):
        await store.create(SessionId(f"s{number}"), CONFIG, float(number))

    assert [session.id for session in await store.list(limit=3)] == ["s4", "s3", "s2"]
    assert len(await store.list()) == 5
    assert await store.list(limit=0) == []


async def test_list_forgets_expired_sessions(store: RedisSessionStore, admin: redis.Redis) -> None:
    for number in range(4):
        await store.create(SessionId(f"s{number}"), CONFIG, float(number))
    admin.delete(keys(SessionId("s3"))[0])

    assert [session.id for session in await store.list(limit=2)] == ["s2", "s1"]
    assert admin.zcard(INDEX_KEY) == 3


async def test_index_of_sessions_is_bounded(make_store: MakeStore, admin: redis.Redis) -> None:
    store = make_store(max_listed=3)
    for number in range(5):
        await store.create(SessionId(f"s{number}"), CONFIG, float(number))

    assert [session.id for session in await store.list()] == ["s4", "s3", "s2"]
    assert admin.zcard(INDEX_KEY) == 3


async def test_lag_is_of_the_last_chunk(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    await store.set_lag(SID, 0.1 + 0.2)

    assert (await store.get(SID)).lag_s == 0.1 + 0.2


async def test_every_key_of_an_open_session_lives_as_long(
    make_store: MakeStore, admin: redis.Redis
) -> None:
    store = make_store(ttl_s=1000.0, ttl_ended_s=10.0)
    await log_chunks(store, 1)
    await store.add_rule(SID, RULE, max_rules=2)
    await store.settle_rules(SID, 0, [fired("r1", 0)])
    await store.add_turn(SID, TURN)
    await store.publish(Event("chunk", SID, 1.0))
    for key in keys(SID):
        admin.expire(key, 5)

    await store.set_lag(SID, 1.0)

    assert [admin.ttl(key) for key in keys(SID)] == pytest.approx([1000] * len(keys(SID)), abs=1)


async def test_late_write_to_an_ended_session_does_not_prolong_it(
    make_store: MakeStore, admin: redis.Redis
) -> None:
    store = make_store(ttl_s=1000.0, ttl_ended_s=10.0)
    await log_chunks(store, 1)
    await store.add_rule(SID, RULE, max_rules=2)
    await store.settle_rules(SID, 0, [fired("r1", 0)])

    await store.end(SID, "deleted", 1.0)
    await store.add_turn(SID, TURN)
    await store.publish(Event("session.ended", SID, 1.0))

    assert [admin.ttl(key) for key in keys(SID)] == pytest.approx([10] * len(keys(SID)), abs=1)


async def test_ended_session_expires_whole(make_store: MakeStore, admin: redis.Redis) -> None:
    store = make_store(ttl_ended_s=0.05)
    await log_chunks(store, 1)
    await store.end(SID, "deleted", 1.0)
    await asyncio.sleep(0.1)

    with pytest.raises(SessionNotFound):
        await store.get(SID)
    assert await store.list() == []
    assert admin.keys("*") == []


async def test_full_server_refuses_chunks_but_lets_sessions_end(
    store: RedisSessionStore, admin: redis.Redis
) -> None:
    lease = await log_chunks(store, 1)
    limit = str(admin.config_get("maxmemory")["maxmemory"])
    admin.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable, match="memory is full"):
            await store.append_chunk(lease, make_record(1))
        with pytest.raises(StoreUnavailable, match="memory is full"):
            await store.create(SessionId("s2"), CONFIG, 1.0)
        assert (await store.get(SID)).num_chunks == 1
        assert await store.end(SID, "deleted", 2.0) is True
    finally:
        admin.config_set("maxmemory", limit)

    assert (await store.get(SID)).status is SessionStatus.ENDED


async def test_session_is_listed_by_the_key_that_made_it(store: RedisSessionStore) -> None:
    made = await store.create(SessionId("s1"), CONFIG, 1.0, key_id="alice")
    await store.create(SessionId("s2"), CONFIG, 2.0, key_id="bob")
    await store.create(SessionId("s3"), CONFIG, 3.0)

    assert await store.get(SessionId("s1")) == made
    assert made.key_id == "alice"
    assert (await store.get(SessionId("s3"))).key_id is None
    assert [session.id for session in await store.list(key_id="alice")] == ["s1"]
    assert await store.list(key_id="carol") == []
    assert [session.id for session in await store.list()] == ["s3", "s2", "s1"]


async def test_record_read_before_is_recalled_while_the_server_is_away(
    make_store: MakeStore, admin: redis.Redis
) -> None:
    store = make_store(client=RedisClientConfig(reply_timeout_s=0.1, max_retries=0, pause_s=0.0))
    made = await store.create(SID, CONFIG, 1.0)
    assert await store.recall(SID) == made

    admin.client_pause(400)
    assert await store.recall(SID) == made
    with pytest.raises(StoreUnavailable):
        await store.get(SID)
    with pytest.raises(StoreUnavailable):
        await store.recall(SessionId("never read"))
    admin.client_unpause()


async def test_rules_are_kept_in_order_and_bounded(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    later = replace(RULE, id="r0", created_at_s=9.0)
    await store.add_rule(SID, later, max_rules=2)
    await store.add_rule(SID, RULE, max_rules=2)
    await store.add_rule(SID, RULE, max_rules=2)  # sent again

    with pytest.raises(BadRequest, match="at most 2"):
        await store.add_rule(SID, replace(RULE, id="r3"), max_rules=2)

    assert await store.rules(SID) == [RULE, later]
    assert await store.remove_rule(SID, "r1")
    assert not await store.remove_rule(SID, "r1")
    assert await store.rules(SID) == [later]


async def test_rules_are_of_open_sessions(store: RedisSessionStore) -> None:
    with pytest.raises(SessionNotFound):
        await store.rules(SID)
    await store.create(SID, CONFIG, 1.0)
    await store.end(SID, "deleted", 2.0)
    with pytest.raises(SessionEnded):
        await store.add_rule(SID, RULE, max_rules=2)


async def test_what_rules_have_come_to_is_kept_and_told_at_once(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)
    quiet = replace(RULE, id="r2", created_at_s=2.0)
    for rule in (RULE, quiet):
        await store.add_rule(SID, rule, max_rules=2)
    assert await store.watched(SID) == [(RULE, RuleState()), (quiet, RuleState())]

    verdicts = [fired("r1", 3), Verdict("r2", RuleState(7.0, index=3)), fired("gone", 3)]

    assert await store.settle_rules(SID, 3, verdicts) == [True, True, False]
    assert await store.watched(SID) == [
        (RULE, RuleState(8.0, 8.0, False, 3)),
        (quiet, RuleState(7.0, index=3)),
    ]
    assert await told(store) == ["r1"]


@pytest.mark.parametrize("index", [2, 3])
async def test_rule_is_judged_once_by_a_chunk_and_never_by_an_older_one(
    store: RedisSessionStore, index: int
) -> None:
    await store.create(SID, CONFIG, 1.0)
    await store.add_rule(SID, RULE, max_rules=2)
    await store.settle_rules(SID, 3, [fired("r1", 3)])

    assert await store.settle_rules(SID, index, [fired("r1", index, at_s=9.0)]) == [False]

    assert await told(store) == ["r1"]
    assert await store.settle_rules(SID, 4, [fired("r1", 4)]) == [True]
    assert await told(store) == ["r1", "r1"]


async def test_removed_rule_starts_afresh_and_ended_session_is_not_judged(
    store: RedisSessionStore,
) -> None:
    await store.create(SID, CONFIG, 1.0)
    await store.add_rule(SID, RULE, max_rules=2)
    await store.settle_rules(SID, 3, [fired("r1", 3)])
    await store.remove_rule(SID, "r1")
    await store.add_rule(SID, RULE, max_rules=2)
    assert await store.watched(SID) == [(RULE, RuleState())]

    await store.end(SID, "deleted", 2.0)

    with pytest.raises(SessionEnded):
        await store.settle_rules(SID, 4, [fired("r1", 4)])


def fired(rule_id: str, index: int, at_s: float = 8.0) -> Verdict:
    event = Event("rule.matched", SID, at_s, {"rule_id": rule_id, "index": index})
    return Verdict(rule_id, RuleState(at_s, at_s, is_armed=False, index=index), event)


async def told(store: RedisSessionStore) -> list[str]:
    events = await store.events(SID, after=None, block_s=0.0)
    return [str(event.data["rule_id"]) for _, event in events]


async def test_erased_session_leaves_nothing(store: RedisSessionStore, admin: redis.Redis) -> None:
    await log_chunks(store, 2)
    await store.publish(Event("chunk", SID, 1.0))
    await store.add_rule(SID, RULE, max_rules=1)
    await store.settle_rules(SID, 1, [fired("r1", 1)])
    await store.add_turn(SID, TURN)
    assert set(keys(SID)) == {key.decode() for key in admin.keys("*{s1}*")}

    for _ in range(2):
        await store.erase(SID)

    assert admin.keys("*") == []
    with pytest.raises(SessionNotFound):
        await store.recall(SID)


async def test_erased_session_leaves_the_index_of_its_key(
    store: RedisSessionStore, admin: redis.Redis
) -> None:
    await store.create(SID, CONFIG, 1.0, key_id="alice")

    await store.erase(SID, key_id="alice")

    assert admin.keys("*") == []
