import pytest

from service.access.caller import ANYONE, Caller, Scope

KEY = Caller("alice", frozenset({Scope.PUBLISH, Scope.ASK}))
TOKEN = Caller("alice", frozenset({Scope.ASK}), session_id="s1")
ADMIN = Caller("root", frozenset({Scope.ADMIN}))


@pytest.mark.parametrize("scope", list(Scope))
def test_admin_may_do_everything(scope: Scope) -> None:
    assert ADMIN.has_any([scope])


def test_one_of_the_scopes_is_enough() -> None:
    assert TOKEN.has_any([Scope.PUBLISH, Scope.ASK])
    assert not TOKEN.has_any([Scope.PUBLISH])
    assert not KEY.has_any([Scope.METRICS])
    assert TOKEN.has_any([])


def test_key_sees_its_own_sessions_only() -> None:
    assert KEY.may_see("s1", "alice")
    assert not KEY.may_see("s1", "bob")
    assert not KEY.may_see("s1", None)  # made before there were keys


def test_admin_and_the_open_service_see_all() -> None:
    assert ADMIN.may_see("s1", "alice")
    assert ADMIN.may_see("s1", None)
    assert ANYONE.may_see("s1", None)


def test_token_sees_its_session_only_whatever_its_key_sees() -> None:
    assert TOKEN.may_see("s1", "alice")
    assert not TOKEN.may_see("s2", "alice")
    assert not Caller("root", frozenset({Scope.ADMIN}), session_id="s1").may_see("s2", "root")


def test_caller_without_key_owns_nothing() -> None:
    assert not Caller(None, frozenset()).may_see("s1", None)
