import asyncio
from collections.abc import AsyncIterator
from itertools import product

import pytest

from service.errors import SessionEnded
from service.events import Event
from service.sessions.record import Rule, RuleState, SessionId, SessionStatus, Stage
from service.sessions.redis_store import RedisSessionStore
from service.sessions.scripts import keys
from service.sessions.state import can_move
from service.sessions.store import Verdict
from tests.records import make_record
from tests.service.sessions.proxy import LossyProxy
from tests.service.sessions.scenes import CONFIG, SID, TURN, own

pytestmark = pytest.mark.redis

ROUTES = {  # how to get to each state
    SessionStatus.CREATED: [],
    SessionStatus.CONNECTING: [SessionStatus.CONNECTING],
    SessionStatus.LIVE: [SessionStatus.CONNECTING, SessionStatus.LIVE],
    SessionStatus.IDLE: [SessionStatus.CONNECTING, SessionStatus.IDLE],
    SessionStatus.ENDED: [SessionStatus.ENDED],
}


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(redis_url).running() as proxy:
        yield proxy


@pytest.fixture
async def lossy(proxy: LossyProxy) -> AsyncIterator[RedisSessionStore]:
    """A store whose connection loses replies; its scripts are known to the server."""
    store = RedisSessionStore.connect(proxy.url)
    await store.create(SID, CONFIG, 1.0)
    yield store
    await store.aclose()


async def go(store: RedisSessionStore, target: SessionStatus) -> None:
    if target is SessionStatus.ENDED:
        await store.end(SID, "deleted", 9.0)
    else:
        await store.set_status(SID, target)


async def is_moved(store: RedisSessionStore, target: SessionStatus) -> bool:
    """Whether the script lets the session go to `target`."""
    if target is SessionStatus.ENDED:
        return await store.end(SID, "again", 9.0)
    try:
        await store.set_status(SID, target)
    except (ValueError, SessionEnded):
        return False
    return True


@pytest.mark.parametrize(("current", "target"), list(product(SessionStatus, repeat=2)))
async def test_scripts_move_a_session_exactly_as_the_state_machine_does(
    store: RedisSessionStore, current: SessionStatus, target: SessionStatus
) -> None:
    await store.create(SID, CONFIG, 1.0)
    for step in ROUTES[current]:
        await go(store, step)

    expected = can_move(current, target)

    assert await is_moved(store, target) is expected
    assert (await store.get(SID)).status is (target if expected else current)


def test_keys_of_a_session_share_a_cluster_slot() -> None:
    assert {key.split("}")[0] for key in keys(SessionId("s1"))} == {"omnisift:{s1"}


async def test_create_sent_twice_makes_one_session(
    lossy: RedisSessionStore, proxy: LossyProxy
) -> None:
    proxy.lose_replies(1, to=b"{s2}")

    made = await lossy.create(SessionId("s2"), CONFIG, 2.0)

    assert proxy.num_lost == 1
    assert await lossy.get(SessionId("s2")) == made


async def test_chunk_sent_twice_is_logged_once(lossy: RedisSessionStore, proxy: LossyProxy) -> None:
    lease = await own(lossy)
    await lossy.append_chunk(lease, make_record(0))
    proxy.lose_replies(1, to=b"EVALSHA")

    # the answer is that of the second sending, which finds the chunk there
    assert await lossy.append_chunk(lease, make_record(1)) is False

    assert proxy.num_lost == 1
    assert (await lossy.get(SID)).num_chunks == 2
    assert [record.index for record in await lossy.chunks(SID)] == [0, 1]


async def test_claim_sent_twice_is_still_new(lossy: RedisSessionStore, proxy: LossyProxy) -> None:
    await lossy.release(await own(lossy))
    proxy.lose_replies(1, to=b"EVALSHA")

    lease = await own(lossy)

    assert proxy.num_lost == 1
    assert (lease.epoch, lease.is_new) == (2, True)


async def test_end_sent_twice_is_done_by_this_call(
    lossy: RedisSessionStore, proxy: LossyProxy
) -> None:
    await lossy.create(SessionId("s2"), CONFIG, 1.0)
    await lossy.end(SessionId("s2"), "deleted", 2.0)
    proxy.lose_replies(1, to=b"EVALSHA")

    assert await lossy.end(SID, "deleted", 2.0) is True
    assert proxy.num_lost == 1


async def test_event_and_turn_sent_twice_are_kept_once(
    lossy: RedisSessionStore, proxy: LossyProxy
) -> None:
    for number in range(3):
        proxy.lose_replies(1, to=b"EVALSHA")
        await lossy.publish(Event("chunk", SID, float(number)))
        assert proxy.num_lost == 1
        proxy.lose_replies(1, to=b"EVALSHA")
        await lossy.add_turn(SID, TURN)
        assert proxy.num_lost == 1

    assert [e.at_s for _, e in await lossy.events(SID, after=None, block_s=0.0)] == [0.0, 1.0, 2.0]
    assert await lossy.turns(SID) == [TURN]


async def test_event_of_two_calls_is_kept_once_and_a_later_one_too(
    store: RedisSessionStore,
) -> None:
    await store.create(SID, CONFIG, 1.0)
    await store.publish(Event("session.idle", SID, 1.0))
    await store.publish(Event("session.idle", SID, 1.0))
    await store.publish(Event("session.idle", SID, 2.0))

    assert len(await store.events(SID, after=None, block_s=0.0)) == 2


async def test_rules_settled_twice_by_one_call_are_settled_by_it(
    lossy: RedisSessionStore, proxy: LossyProxy
) -> None:
    await lossy.add_rule(SID, Rule("r1", "?", 0.5, 0.0, 0.0, 1.0), max_rules=1)
    event = Event("rule.matched", SID, 5.0, {"rule_id": "r1"})
    # the server learns the script from the first, so that the second is lost with its reply
    await lossy.settle_rules(SID, 0, [])
    proxy.lose_replies(1, to=b"EVALSHA")

    assert await lossy.settle_rules(SID, 0, [Verdict("r1", RuleState(5.0, index=0), event)]) == [
        True
    ]

    assert proxy.num_lost == 1
    assert [e.at_s for _, e in await lossy.events(SID, after=None, block_s=0.0)] == [5.0]


async def test_racing_claims_have_one_winner(store: RedisSessionStore) -> None:
    await store.create(SID, CONFIG, 1.0)

    claims = await asyncio.gather(
        *(store.claim(SID, Stage.LLM, f"r{n}", ttl_s=60.0) for n in range(20)),
        return_exceptions=True,
    )

    assert sum(not isinstance(claim, BaseException) for claim in claims) == 1
