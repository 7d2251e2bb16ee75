import json
from dataclasses import replace

import pytest

from clients.sdk import calls
from clients.sdk.calls import Reply
from clients.sdk.errors import Conflict, MalformedAnswer, NotFound
from clients.sdk.models import Session, Tokens


def reply(status: int, body: object) -> Reply:
    return Reply("http://h/v1", status, {}, json.dumps(body).encode())


SESSION = Session("a", "live", "live", 0.0, Tokens.zero())


def test_only_what_was_chosen_is_sent() -> None:
    call = calls.ask("a", "what ?", {"window_s": 4.0, "seed": None})

    assert json.loads(call.body or b"") == {"question": "what ?", "window_s": 4.0}
    assert call.headers["content-type"] == "application/json"


@pytest.mark.parametrize("id_", ["a/b", "a?b", "../x", "a b", "\u00e9"])
def test_session_id_cannot_leave_its_place_in_the_path(id_: str) -> None:
    path = calls.get_session(id_).path

    assert path.startswith("v1/sessions/")
    assert path.isascii()
    assert not set("/? ") & set(path.removeprefix("v1/sessions/"))


def test_cursor_wins_over_replay() -> None:
    assert calls.events("a", after=None, replay=False).path == "v1/sessions/a/events?replay=0"
    resumed = calls.events("a", after="7", replay=False)
    assert resumed.path == "v1/sessions/a/events"
    assert resumed.headers["last-event-id"] == "7"


def test_error_answer_raises() -> None:
    with pytest.raises(NotFound):
        calls.get_session("a").read(reply(404, {"error": {"code": "session_not_found"}}))


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"{}"])
def test_answer_of_another_server_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        calls.get_session("a").read(Reply("http://h/v1", 200, {}, body))


def test_lists_are_unwrapped() -> None:
    assert calls.list_sessions().read(reply(200, {"data": []})) == ()
    assert calls.turns("a").read(reply(200, {"object": "list", "data": []})) == ()


def test_session_is_answerable_from_its_first_chunk_until_it_ends() -> None:
    assert not calls.check_answerable(replace(SESSION, chunks=0))
    assert calls.check_answerable(replace(SESSION, chunks=1))
    with pytest.raises(Conflict, match="has ended"):
        calls.check_answerable(replace(SESSION, chunks=1, status="ended"))
