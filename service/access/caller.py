"""Who calls, and what they may do and see. Pure: knows neither HTTP nor where sessions are kept."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a key or a token allows; `admin` implies all, and sees the sessions of every key."""

    PUBLISH = "publish"
    ASK = "ask"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a credential, for the length of one request.

    Attributes:
        key_id: The API key that was shown, or that minted the token; None in a service without
            keys.
        scopes: What is allowed.
        session_id: The one session that a token is bound to; None for a key.
    """

    key_id: str | None
    scopes: frozenset[Scope]
    session_id: str | None = None

    @property
    def sees_all(self) -> bool:
        """Every key's sessions."""
        return Scope.ADMIN in self.scopes and self.session_id is None

    def has_any(self, scopes: Collection[Scope]) -> bool:
        """Whether one of these scopes is allowed; none asked for is always allowed."""
        return not scopes or Scope.ADMIN in self.scopes or not self.scopes.isdisjoint(scopes)

    def may_see(self, session_id: str, key_id: str | None) -> bool:
        """Whether a session, made by `key_id`, exists as far as this caller is told."""
        if self.session_id is not None:
            return self.session_id == session_id
        return self.sees_all or (key_id is not None and key_id == self.key_id)


ANYONE: Final = Caller(None, frozenset({Scope.ADMIN}))
"""The caller of a service that has no keys."""

__all__ = ["ANYONE", "Caller", "Scope"]
