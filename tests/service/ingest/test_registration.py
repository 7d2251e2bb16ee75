from dataclasses import replace

import pytest

from service.errors import NotOwner, SessionEnded, SessionNotFound
from service.ingest.registration import Registration
from service.sessions.record import SessionId, SessionStatus, Stage
from tests.service.ingest.replica import SESSION, FakeClock, Replica


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registration(replica: Replica, clock: FakeClock) -> Registration:
    return Registration(SESSION, replace(replica.around, clock=clock), lease_s=30.0)


def other(replica: Replica) -> Registration:
    return Registration(SESSION, replace(replica.around, replica="replica-2"), lease_s=30.0)


async def test_opening_makes_this_replica_the_owner(
    registration: Registration, replica: Replica
) -> None:
    record = await registration.open(None)

    assert record.owners == {Stage.INGEST: "replica-1"}


async def test_another_replica_is_kept_out_unless_it_takes_over(
    registration: Registration, replica: Replica
) -> None:
    await registration.open(None)

    with pytest.raises(NotOwner):
        await other(replica).open(None)

    record = await other(replica).open("replica-1")
    assert record.owners == {Stage.INGEST: "replica-2"}


async def test_a_lease_that_was_taken_over_cannot_be_renewed(
    registration: Registration, replica: Replica, clock: FakeClock
) -> None:
    await registration.open(None)
    await other(replica).open("replica-1")

    await registration.renew()  # not due yet: nobody is asked
    clock.now_s += 10.0
    with pytest.raises(NotOwner):
        await registration.renew()


async def test_a_released_session_is_free(registration: Registration, replica: Replica) -> None:
    await registration.release()
    await registration.open(None)
    await registration.release()

    record = await other(replica).open(None)

    assert record.owners == {Stage.INGEST: "replica-2"}


async def test_a_status_is_told_once(registration: Registration, replica: Replica) -> None:
    await registration.open(None)

    for _ in range(2):
        await registration.tell(SessionStatus.CONNECTING, {})
    for _ in range(2):
        await registration.tell(SessionStatus.LIVE, {"started_at_s": 5.0})

    assert (await replica.around.store.get(SESSION)).status is SessionStatus.LIVE
    connecting, live = await replica.events()
    assert (connecting.type, connecting.at_s, connecting.data) == ("session.connecting", 1000.0, {})
    assert (live.type, live.data) == ("session.live", {"started_at_s": 5.0})


async def test_a_status_is_not_told_of_a_session_that_another_replica_has_taken(
    registration: Registration, replica: Replica
) -> None:
    await registration.open(None)
    taker = other(replica)
    await taker.open("replica-1")
    await taker.tell(SessionStatus.LIVE, {})

    with pytest.raises(NotOwner):
        await registration.tell(SessionStatus.IDLE, {})

    assert await replica.is_at(SessionStatus.LIVE)
    assert await replica.told() == ["connecting", "live"]


@pytest.mark.parametrize("status", [SessionStatus.LIVE, SessionStatus.IDLE])
async def test_a_step_that_could_not_be_told_is_made_up_for(
    registration: Registration, replica: Replica, status: SessionStatus
) -> None:
    await registration.open(None)

    await registration.tell(status, {})

    assert (await replica.around.store.get(SESSION)).status is status
    assert await replica.told() == ["connecting", status]


async def test_what_does_not_exist_or_is_over_cannot_be_opened(replica: Replica) -> None:
    await replica.around.store.end(SESSION, "deleted", 0.0)

    with pytest.raises(SessionEnded):
        await Registration(SESSION, replica.around, lease_s=30.0).open(None)
    with pytest.raises(SessionNotFound):
        await Registration(SessionId("nobody"), replica.around, lease_s=30.0).open(None)
