from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


def test_list_is_a_table_newest_first(service: RunningService, run: Run) -> None:
    service.fake.create()
    service.fake.add_chunk(service.fake.create())

    ran = run("sessions")

    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["session", "s1", "s0"]
    assert [session["id"] for session in run("sessions", "list", "--json").json[0]] == ["s1", "s0"]


def test_no_sessions_is_said_with_what_to_do(run: Run) -> None:
    ran = run("sessions")

    assert (ran.code, ran.out) == (0, "")
    assert "omnisift publish" in ran.err


def test_session_is_shown(service: RunningService, run: Run) -> None:
    service.fake.add_chunk(service.fake.create())

    assert "video tokens   96 -> 24" in run("sessions", "show", "s0").out
    assert run("sessions", "show", "s0", "--json").json[0]["chunks"] == 1


def test_session_is_shared_by_a_link_whose_token_is_never_sent(
    service: RunningService, run: Run
) -> None:
    service.fake.create()

    assert run("sessions", "share", "s0").out == f"{service.url}/?session=s0#token=ost_s0\n"
    assert run("sessions", "share", "s0", "--json").json[0]["token"] == "ost_s0"


def test_session_is_ended(service: RunningService, run: Run) -> None:
    service.fake.create()

    ran = run("sessions", "end", "s0")

    assert (ran.code, ran.err) == (0, "session s0 has ended\n")
    assert service.fake.feed("s0").record.status == "ended"
    assert run("sessions", "end", "s0", "--json").json == [{"session_id": "s0", "status": "ended"}]
