import pytest

from service.access.caller import ANYONE, Caller, Scope
from service.access.credentials import Credentials
from service.access.keyring import Keyring, generate
from service.access.signing import Signer
from service.errors import Unauthorized

SIGNER = Signer(b"s" * 32)
ALICE, ALICE_KEPT = generate("alice", ["publish", "ask"])
VIEWER, VIEWER_KEPT = generate("viewer", ["ask"])
CLOSED = Credentials(Keyring([ALICE_KEPT, VIEWER_KEPT]), SIGNER)
OPEN = Credentials(Keyring(), SIGNER)


def test_key_makes_its_holder_known() -> None:
    assert CLOSED.caller(ALICE, now_s=0) == Caller("alice", frozenset({Scope.PUBLISH, Scope.ASK}))
    assert CLOSED.caller(VIEWER, now_s=0).key_id == "viewer"


@pytest.mark.parametrize(
    "shown",
    [None, "", "osk_wrong", ALICE[:-1], f" {ALICE}"],
    ids=["none", "empty", "wrong", "cut", "padded"],  # keys are made anew in every process
)
def test_nothing_or_a_wrong_key_is_refused_without_being_repeated(shown: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        CLOSED.caller(shown, now_s=0)

    assert not shown or shown not in caught.value.message


def test_service_without_keys_takes_anyone_with_any_key() -> None:
    assert OPEN.caller(None, now_s=0) == ANYONE
    assert OPEN.caller("none", now_s=0) == ANYONE


@pytest.mark.parametrize("credentials", [OPEN, CLOSED], ids=["open", "closed"])
def test_token_binds_to_its_session_and_expires(credentials: Credentials) -> None:
    minter = credentials.caller(ALICE, now_s=0)
    token = credentials.mint_token(minter, "s1", [Scope.ASK], expires_at_s=100.0)

    holder = credentials.caller(token, now_s=99.0)

    assert (holder.session_id, holder.key_id) == ("s1", minter.key_id)
    assert holder.scopes == {Scope.ASK}
    with pytest.raises(Unauthorized, match="expired"):
        credentials.caller(token, now_s=100.0)
    with pytest.raises(Unauthorized):
        credentials.caller(token[:-2] + "AA", now_s=0)


def test_token_dies_with_its_key() -> None:
    token = CLOSED.mint_token(CLOSED.caller(ALICE, now_s=0), "s1", [Scope.ASK], expires_at_s=9.0)

    with pytest.raises(Unauthorized, match="is gone"):
        Credentials(Keyring([VIEWER_KEPT]), SIGNER).caller(token, now_s=0)


def test_token_loses_what_its_key_loses() -> None:
    token = CLOSED.mint_token(
        CLOSED.caller(ALICE, now_s=0), "s1", [Scope.PUBLISH, Scope.ASK], expires_at_s=9.0
    )
    reduced = Keyring([generate("alice", ["ask"])[1]])

    assert Credentials(reduced, SIGNER).caller(token, now_s=0).scopes == {Scope.ASK}


def test_token_of_an_open_service_is_worth_nothing_once_there_are_keys() -> None:
    token = OPEN.mint_token(ANYONE, "s1", [Scope.ASK], expires_at_s=9.0)

    with pytest.raises(Unauthorized):
        CLOSED.caller(token, now_s=0)


def test_page_pass_is_no_token_and_a_token_no_pass() -> None:
    page_pass = CLOSED.mint_page_pass(expires_at_s=9.0)
    token = CLOSED.mint_token(CLOSED.caller(ALICE, now_s=0), "s1", [Scope.ASK], expires_at_s=9.0)

    CLOSED.check_page_pass(page_pass, now_s=0)
    for text in (token, token.removeprefix("ost_"), ""):
        with pytest.raises(Unauthorized):
            CLOSED.check_page_pass(text, now_s=0)
    with pytest.raises(Unauthorized):
        CLOSED.caller(f"ost_{page_pass}", now_s=0)
