from clients.cli.render import WATCH_HEADER
from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


def fill(service: RunningService) -> None:
    feed = service.fake.create()
    service.fake.set_status(feed, "live", started_at_s=1000.0)
    service.fake.add_chunk(feed)
    service.fake.set_status(feed, "ended", reason="deleted")


def test_events_are_a_table_until_the_session_ends(service: RunningService, run: Run) -> None:
    fill(service)

    ran = run("watch", "s0")

    assert ran.code == 0
    header, *lines = ran.out.splitlines()
    assert header == WATCH_HEADER
    assert [line.split()[1] for line in lines] == ["created", "live", "chunk", "ended"]


def test_json_is_each_event_as_sent(service: RunningService, run: Run) -> None:
    fill(service)

    ran = run("watch", "s0", "--json")

    assert ran.json == [data for _, data in service.fake.feed("s0").events]


def test_lost_connection_is_noted_and_made_again(service: RunningService, run: Run) -> None:
    service.fake.events_per_connection = 3
    fill(service)

    ran = run("watch", "s0")

    assert ran.code == 0
    assert "connection lost (closed), trying again in" in ran.err
    assert len(ran.out.splitlines()) == 5


def test_unknown_session_is_an_error(run: Run) -> None:
    ran = run("watch", "other")

    assert ran.code == 4
    assert ran.err == "omnisift: no session 'other'. See 'omnisift sessions' for those there are\n"
