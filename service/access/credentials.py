"""Credentials to callers: API keys, tokens of one session, passes for the page. Pure."""

from collections.abc import Iterable
from typing import Final

from service.access.caller import ANYONE, Caller, Scope
from service.access.keyring import Keyring
from service.access.signing import Signer
from service.errors import Unauthorized

TOKEN_PREFIX: Final = "ost_"
SESSION_PURPOSE: Final = "session"
PAGE_PURPOSE: Final = "page"


class Credentials:
    """Decides who calls, from what they show.

    Args:
        keyring: The API keys; without any, the service is open.
        signer: Of tokens and passes; replicas that share its secret accept each other's.
    """

    def __init__(self, keyring: Keyring, signer: Signer) -> None:
        self._keyring = keyring
        self._signer = signer

    @property
    def is_open(self) -> bool:
        """Whether callers need nothing."""
        return self._keyring.is_empty

    def caller(self, bearer: str | None, *, now_s: float) -> Caller:
        """Who shows this key or token.

        In an open service a token still binds its holder to its session, and whatever else is
        shown counts as nothing: clients that must send some key can.

        Raises:
            Unauthorized: Nothing is shown, or nothing that is valid.
        """
        if bearer is not None and bearer.startswith(TOKEN_PREFIX):
            return self._token_holder(bearer, now_s)
        if self.is_open:
            return ANYONE
        if bearer is None:
            raise Unauthorized("an API key or a session's token is required")
        key = self._keyring.find(bearer)
        if key is None:
            raise Unauthorized("the API key is not valid")
        return Caller(key.id, key.scopes)

    def mint_token(
        self, caller: Caller, session_id: str, scopes: Iterable[Scope], *, expires_at_s: float
    ) -> str:
        """A token that lets its holder do `scopes` in one session; for its minter's key only."""
        fields = {"sid": session_id, "key": caller.key_id, "scopes": sorted(scopes)}
        return TOKEN_PREFIX + self._signer.sign(SESSION_PURPOSE, fields, expires_at_s=expires_at_s)

    def mint_page_pass(self, *, expires_at_s: float) -> str:
        """A pass that lets a browser load the page's files, and nothing else."""
        return self._signer.sign(PAGE_PURPOSE, {}, expires_at_s=expires_at_s)

    def check_page_pass(self, text: str, *, now_s: float) -> None:
        """Raise `Unauthorized` unless it is such a pass."""
        self._signer.read(PAGE_PURPOSE, text, now_s=now_s)

    def _token_holder(self, token: str, now_s: float) -> Caller:
        text = token.removeprefix(TOKEN_PREFIX)
        fields = self._signer.read(SESSION_PURPOSE, text, now_s=now_s)
        key_id, scopes = fields["key"], frozenset(map(Scope, fields["scopes"]))
        if not self.is_open:
            # a token is worth what its key is worth now: nothing, once that is gone
            key = None if key_id is None else self._keyring.get(key_id)
            if key is None:
                raise Unauthorized("the API key that made this token is gone")
            if Scope.ADMIN not in key.scopes:
                scopes &= key.scopes
        return Caller(key_id, scopes, fields["sid"])


__all__ = ["Credentials"]
